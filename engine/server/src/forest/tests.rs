//! The walk beside ONNX Runtime and beside the plainest walk, bit for bit, on forests and rows at random; what is refused;
//! and that a difference is found.

mod grown;

use std::path::PathBuf;

use fraudgate_core::model::{Manifest, Runner, hex};
use grown::{File, Grown, Random, TELLING, file, floats, ints, score, text};
use proptest::prelude::*;
use prost::Message;
use sha2::{Digest, Sha256};

use super::{
    graph::{Ensemble, Node},
    proto::Attribute,
    *,
};

/// The library of the wheel in the environment that `make setup` makes.
fn library() -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.venv/lib");
    let entries = |path: PathBuf| {
        std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    let folders = entries(root.into()).map(|python| python.join("site-packages/onnxruntime/capi"));
    let mut libraries = folders.flat_map(entries).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libonnxruntime.so.") || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
    });
    libraries.next().expect("make setup installs the ONNX Runtime library")
}

fn manifest(onnx: &[u8], features: usize) -> Manifest {
    let names: Vec<String> = (0..features).map(|number| format!(r#""f{number}""#)).collect();
    let table = r#"{"log_odds":[-1,1],"value":[0.25,0.75]}"#;
    let json = format!(
        r#"{{"format":1,"plan_digest":"","onnx_sha256":"{}","input":"features","output":"log_odds","features":[{}],
        "probability":{table},"risk":{table}}}"#,
        hex(&Sha256::digest(onnx)),
        names.join(",")
    );
    Manifest::parse(json.as_bytes()).unwrap()
}

/// Leaves of every size, off any grid: the order of a sum shows.
fn any_weight(random: &mut Random) -> f32 {
    match random.below(8) {
        0 => -0.0,
        1 => f32::MIN_POSITIVE * random.below(9) as f32 / 8.0,
        2 => 1e30 * (random.below(3) as f32 - 1.0),
        _ => (random.below(2_000_001) as f32 - 1e6) / 3e5,
    }
}

/// Leaves of which no two are equal, and whose sums are exact.
fn telling_weight(next: &mut usize) -> impl FnMut(&mut Random) -> f32 {
    move |_| {
        *next += 1;
        *next as f32
    }
}

fn forest(
    seed: u64,
    trees: usize,
    leaves: usize,
    features: usize,
    weight: &mut dyn FnMut(&mut Random) -> f32,
) -> Vec<Grown> {
    let mut random = Random(seed);
    // Every second has infinite thresholds, too, behind which rows do not come by any value.
    let within = vec![(seed as usize % 2, TELLING.len() - seed as usize % 2); features];
    (0..trees)
        .map(|_| Grown::grow(&mut random, leaves, &within, weight))
        .collect()
}

fn scored(forest: &mut dyn Forest, rows: &[f32], n: usize) -> Vec<u32> {
    let mut log_odds = Vec::new();
    forest.score(rows, n, &mut log_odds).unwrap();
    log_odds.into_iter().map(f32::to_bits).collect()
}

proptest! {
    #[test]
    fn a_walk_gives_the_bits_of_onnx_runtime_and_of_the_plainest_walk(
        seed in any::<u64>(),
        trees in 1..60_usize,
        leaves in 1..=32_usize,
        features in 1..6_usize,
        base in proptest::option::of(-3.0_f32..3.0),
    ) {
        let grown = forest(seed, trees, leaves, features, &mut any_weight);
        let onnx = file(&grown, base, features).encode_to_vec();
        let manifest = manifest(&onnx, features);
        let mut reference = OnnxForest::load(&library(), &manifest, Size::Full, &onnx).unwrap();
        let walkers = || walked(&manifest, &onnx).unwrap().1;
        let (mut walker, mut narrow) = (walkers(), walkers().narrow());
        let mut random = Random(!seed);
        for n in [1, 2, 3, 7, 16, 31, 64, 129] {
            let rows: Vec<f32> = (0..n * features).map(|_| random.value()).collect();
            let plain: Vec<u32> = rows
                .chunks(features)
                .map(|row| score(&grown, base.unwrap_or(0.0), row).to_bits())
                .collect();
            prop_assert_eq!(&scored(&mut reference, &rows, n), &plain);
            prop_assert_eq!(&scored(&mut walker, &rows, n), &plain);
            prop_assert_eq!(&scored(&mut narrow, &rows, n), &plain);
        }
        prop_assert_eq!(load(&library(), &manifest, Size::Full, &onnx).unwrap().runner(), Runner::Walker);
    }

    #[test]
    fn one_threshold_by_one_float_one_way_of_missing_or_one_leaf_is_found(
        seed in any::<u64>(),
        trees in 1..12_usize,
        leaves in 2..=32_usize,
        features in 1..6_usize,
        chosen in any::<usize>(),
    ) {
        let grown = forest(seed | 1, trees, leaves, features, &mut telling_weight(&mut 0));
        let onnx = file(&grown, None, features).encode_to_vec();
        let ensemble = Ensemble::read(&onnx, "features", "log_odds", features).unwrap();
        let tried = |ensemble: &Ensemble, other: &Ensemble| {
            let mut walkers = [ensemble, other].map(|each| Walker::new(each, features).unwrap());
            let [reference, walker] = &mut walkers;
            agree::agree(ensemble, features, reference, walker)
        };
        prop_assert_eq!(tried(&ensemble, &ensemble), Ok(()));

        let tree = chosen % trees;
        let node = chosen / trees % ensemble.trees[tree].0.len();
        let mut spoilt = vec![ensemble.clone()];
        match &mut spoilt[0].trees[tree].0[node] {
            Node::Split(split) => split.threshold = split.threshold.next_up(),
            Node::Leaf(weight) => *weight += 1.0,
        }
        if missing_comes(&ensemble.trees[tree].0, node) {
            spoilt.push(ensemble.clone());
            if let Node::Split(split) = &mut spoilt[1].trees[tree].0[node] {
                split.missing_left = !split.missing_left;
            }
        }
        for spoilt in spoilt {
            let error = tried(&ensemble, &spoilt).unwrap_err();
            prop_assert!(error.0.contains("score the same row differently, so it is not served"), "{error}");
        }
    }
}

/// Whether a row without a value comes to a split: those above it that ask for the same may send it elsewhere.
fn missing_comes(nodes: &[Node], at: usize) -> bool {
    let Node::Split(below) = &nodes[at] else { return false };
    let mut child = at;
    for (place, node) in nodes[..at].iter().enumerate().rev() {
        let Node::Split(split) = node else { continue };
        if split.left == child || split.right == child {
            if split.feature == below.feature && (split.left == child) != split.missing_left {
                return false;
            }
            child = place;
        }
    }
    true
}

/// A small forest's file, whose attribute of a name is changed.
fn changed(name: &str, change: impl FnOnce(&mut Attribute)) -> File {
    let mut file = file(&forest(3, 4, 8, 3, &mut any_weight), None, 3);
    let attributes = &mut file.graph.as_mut().unwrap().node[0].attribute;
    change(attributes.iter_mut().find(|attribute| attribute.name == name).unwrap());
    file
}

fn with(attribute: Attribute) -> File {
    let mut file = file(&forest(3, 4, 8, 3, &mut any_weight), None, 3);
    file.graph.as_mut().unwrap().node[0].attribute.push(attribute);
    file
}

#[test]
fn what_cannot_be_walked_is_served_by_onnx_runtime_and_says_why() {
    let last_split = |modes: &mut Attribute| {
        let split = modes.strings.iter_mut().rfind(|mode| **mode == b"BRANCH_LEQ");
        *split.unwrap() = b"BRANCH_LT".to_vec();
    };
    let mut old = with(text("post_transform", "NONE"));
    old.opset_import[1].version = 1;
    for (file, why) in [
        (
            changed("nodes_modes", last_split),
            "a node's mode is BRANCH_LT, neither BRANCH_LEQ nor LEAF",
        ),
        (
            with(text("aggregate_function", "AVERAGE")),
            "its aggregate_function is not a plain sum's",
        ),
        (
            with(text("post_transform", "LOGISTIC")),
            "its post_transform is not a plain sum's",
        ),
        (
            changed("nodes_values", |values| values.floats[0] = f32::NAN),
            "with NaN",
        ),
        (
            changed("target_weights", |weights| weights.floats[0] = f32::INFINITY),
            "weighs inf",
        ),
        (old, "its operator set ai.onnx.ml is [1], not [3]"),
        (
            file(&forest(3, 4, 60, 3, &mut any_weight), None, 3),
            "leaves, more than 32",
        ),
    ] {
        let onnx = file.encode_to_vec();
        let manifest = manifest(&onnx, 3);
        let served = load(&library(), &manifest, Size::Full, &onnx);
        let mut served = served.unwrap_or_else(|error| panic!("{why}: {error}"));
        let Runner::OnnxRuntime(told) = served.runner() else {
            panic!("{why}: it is walked");
        };
        assert!(told.contains(why), "{told}: not {why}");
        let mut random = Random(5);
        let rows: Vec<f32> = (0..130 * 3).map(|_| random.value()).collect();
        let mut reference = OnnxForest::load(&library(), &manifest, Size::Full, &onnx).unwrap();
        assert_eq!(scored(&mut *served, &rows, 130), scored(&mut reference, &rows, 130));
    }
}

#[test]
fn a_graph_that_says_anything_else_is_not_read() {
    let mut two = changed("nodes_values", |_| {});
    let node = two.graph.as_ref().unwrap().node[0].clone();
    two.graph.as_mut().unwrap().node.push(node);
    let mut other = changed("nodes_values", |_| {});
    other.graph.as_mut().unwrap().node[0].op_type = "TreeEnsembleClassifier".to_owned();
    for (file, why) in [
        (two, "it has 2 nodes instead of one"),
        (other, "its node is a TreeEnsembleClassifier"),
        (with(ints("n_targets", vec![1])), "two attributes n_targets"),
        (
            with(ints("post_transform", vec![1])),
            "its post_transform is of another type",
        ),
        (
            with(floats("nodes_weights", vec![1.0])),
            "an attribute nodes_weights, which is not known",
        ),
        (
            with(floats("base_values", vec![1.0, 2.0])),
            "base_values is [1.0, 2.0], not one number",
        ),
        (
            changed("n_targets", |targets| targets.i = 2),
            "its n_targets is not a plain sum's",
        ),
        (
            changed("nodes_values", |values| values.floats.truncate(3)),
            "of nodes are not equally long",
        ),
        (
            changed("target_ids", |targets| targets.ints.truncate(3)),
            "of leaves are not equally long",
        ),
        (
            changed("nodes_treeids", |trees| trees.ints.reverse()),
            "do not stand in the order of their numbers",
        ),
        (
            changed("nodes_nodeids", |nodes| nodes.ints[1] = 7),
            "do not stand in the order of their numbers",
        ),
        (
            changed("nodes_featureids", |features| features.ints[0] = 3),
            "compares feature 3 of 3",
        ),
        (
            changed("nodes_truenodeids", |left| left.ints[0] = 0),
            "a child that is not its own",
        ),
        (
            changed("nodes_falsenodeids", |right| right.ints[0] = 1),
            "a child that is not its own",
        ),
        (
            changed("target_nodeids", |nodes| nodes.ints[0] = 0),
            "is weighed and no leaf",
        ),
        (
            changed("target_nodeids", |nodes| nodes.ints[1] = nodes.ints[0]),
            "or weighed twice",
        ),
        (
            changed("target_ids", |targets| targets.ints[0] = 1),
            "is weighed and no leaf",
        ),
    ] {
        let read = Ensemble::read(&file.encode_to_vec(), "features", "log_odds", 3);
        let Err(Unwalkable(told)) = read else {
            panic!("{why}: it was read");
        };
        assert!(told.contains(why), "{told}: not {why}");
    }
    let unread = |onnx: &[u8], output| Ensemble::read(onnx, "features", output, 3).unwrap_err().0;
    let whole = changed("nodes_values", |_| {}).encode_to_vec();
    assert!(unread(&whole, "label").contains("does not lead from its input to its output"));
    assert!(unread(b"no model", "log_odds").contains("no ONNX"));
    assert!(unread(b"", "log_odds").contains("operator set"));
}

#[test]
fn a_leaf_without_a_weight_is_not_read() {
    let mut file = changed("target_weights", |weights| {
        weights.floats.truncate(weights.floats.len() - 1)
    });
    for attribute in &mut file.graph.as_mut().unwrap().node[0].attribute {
        if attribute.name.starts_with("target_") {
            attribute.ints.truncate(attribute.ints.len().saturating_sub(1));
        }
    }
    let read = Ensemble::read(&file.encode_to_vec(), "features", "log_odds", 3);
    assert_eq!(read.unwrap_err().0, "a leaf of tree 3 has no weight");
}

#[test]
fn rows_of_another_width_are_refused() {
    let onnx = file(&forest(3, 4, 8, 3, &mut any_weight), None, 3).encode_to_vec();
    let (_, mut walker) = walked(&manifest(&onnx, 3), &onnx).unwrap();
    assert!(walker.score(&[0.0; 5], 2, &mut Vec::new()).is_err());
}
