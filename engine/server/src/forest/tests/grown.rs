//! Forests at random, the plainest walk over them, and the ONNX bytes that say the same.

use prost::Message;

use super::super::proto::{Attribute, Kind, Node as GraphNode, OperatorSet};

/// What thresholds and values are drawn from, in order: what is telling in float32.
pub const TELLING: [f32; 20] = [
    f32::NEG_INFINITY,
    f32::MIN,
    -1e9,
    -1.5,
    -1.0,
    -1e-35,
    -f32::MIN_POSITIVE,
    -1e-45,
    0.0,
    1e-45,
    1e-38,
    1e-35,
    0.1,
    1.0,
    1.000_000_1,
    2.0,
    16_777_216.0,
    16_777_218.0,
    f32::MAX,
    f32::INFINITY,
];

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % bound as u64) as usize
    }

    /// A value of a row: telling, missing, beside what is telling, or minus zero.
    pub fn value(&mut self) -> f32 {
        let near = TELLING[self.below(TELLING.len())];
        [near, near, near.next_up(), near.next_down(), f32::NAN, -0.0][self.below(6)]
    }
}

/// A tree as it grew.
#[derive(Clone, Debug)]
pub enum Grown {
    Leaf(f32),
    Split {
        feature: usize,
        threshold: f32,
        missing_left: bool,
        left: Box<Grown>,
        right: Box<Grown>,
    },
}

impl Grown {
    /// A tree of at most so many leaves. `within` says of each feature which telling values can come here, from and before
    /// which place, so that every split can be reached. A leaf adds what `weight` draws.
    pub fn grow(
        random: &mut Random,
        leaves: usize,
        within: &[(usize, usize)],
        weight: &mut dyn FnMut(&mut Random) -> f32,
    ) -> Grown {
        let feature = random.below(within.len());
        let (from, before) = within[feature];
        if leaves < 2 || from == before {
            return Grown::Leaf(weight(random));
        }
        let at = from + random.below(before - from);
        let (mut low, mut high) = (within.to_vec(), within.to_vec());
        low[feature] = (from, at);
        high[feature] = (at + 1, before);
        let on_left = 1 + random.below(leaves - 1);
        Grown::Split {
            feature,
            threshold: TELLING[at],
            missing_left: random.below(2) == 0,
            left: Box::new(Grown::grow(random, on_left, &low, weight)),
            right: Box::new(Grown::grow(random, leaves - on_left, &high, weight)),
        }
    }

    /// The plainest walk.
    pub fn leaf(&self, row: &[f32]) -> f32 {
        match self {
            Grown::Leaf(weight) => *weight,
            Grown::Split {
                feature,
                threshold,
                missing_left,
                left,
                right,
            } => {
                let x = row[*feature];
                let goes_left = if x.is_nan() { *missing_left } else { x <= *threshold };
                if goes_left { left.leaf(row) } else { right.leaf(row) }
            }
        }
    }
}

/// A forest's score: from 0, tree by tree, in float32.
pub fn score(trees: &[Grown], base: f32, row: &[f32]) -> f32 {
    trees.iter().fold(0.0, |sum, tree| sum + tree.leaf(row)) + base
}

/// `ModelProto`, as much as ONNX Runtime asks for.
#[derive(Clone, PartialEq, Message)]
pub struct File {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<GraphNode>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "11")]
    input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<Value>,
}

/// `ValueInfoProto`, and what is within it.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<Tensor>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int32, tag = "1")]
    element: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dimension: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    parameter: Option<String>,
}

/// float32 [n, `width`].
fn rows(name: &str, width: usize) -> Value {
    const FLOAT32: i32 = 1;
    let free = Dimension {
        value: None,
        parameter: Some("n".to_owned()),
    };
    let fixed = Dimension {
        value: Some(width as i64),
        parameter: None,
    };
    let shape = Some(Shape {
        dimension: vec![free, fixed],
    });
    Value {
        name: name.to_owned(),
        r#type: Some(Type {
            tensor: Some(Tensor {
                element: FLOAT32,
                shape,
            }),
        }),
    }
}

/// The graph of a forest.
pub fn file(trees: &[Grown], base: Option<f32>, features: usize) -> File {
    let mut columns = Columns::default();
    for (number, tree) in trees.iter().enumerate() {
        columns.first = columns.nodes.len();
        columns.add(number as i64, tree);
    }
    let node = GraphNode {
        input: vec!["features".to_owned()],
        output: vec!["log_odds".to_owned()],
        op_type: "TreeEnsembleRegressor".to_owned(),
        attribute: columns.attributes(base),
        domain: "ai.onnx.ml".to_owned(),
    };
    let set = |domain: &str, version| OperatorSet {
        domain: domain.to_owned(),
        version,
    };
    File {
        ir_version: 8,
        graph: Some(Graph {
            node: vec![node],
            name: "log_odds".to_owned(),
            input: vec![rows("features", features)],
            output: vec![rows("log_odds", 1)],
        }),
        opset_import: vec![set("", 15), set("ai.onnx.ml", 3)],
    }
}

#[derive(Default)]
struct Columns {
    /// Tree, node, feature, missing goes left, left, right.
    nodes: Vec<[i64; 6]>,
    thresholds: Vec<f32>,
    modes: Vec<Vec<u8>>,
    /// Tree, node, target.
    leaves: Vec<[i64; 3]>,
    weights: Vec<f32>,
    /// Where the tree begins.
    first: usize,
}

impl Columns {
    fn add(&mut self, number: i64, tree: &Grown) -> i64 {
        let at = self.nodes.len();
        let id = (at - self.first) as i64;
        self.nodes.push([number, id, 0, 0, 0, 0]);
        match tree {
            Grown::Leaf(weight) => {
                self.modes.push(b"LEAF".to_vec());
                self.thresholds.push(0.0);
                self.leaves.push([number, id, 0]);
                self.weights.push(*weight);
            }
            Grown::Split {
                feature,
                threshold,
                missing_left,
                left,
                right,
            } => {
                self.modes.push(b"BRANCH_LEQ".to_vec());
                self.thresholds.push(*threshold);
                let (left, right) = (self.add(number, left), self.add(number, right));
                self.nodes[at][2..].copy_from_slice(&[*feature as i64, i64::from(*missing_left), left, right]);
            }
        }
        id
    }

    fn attributes(self, base: Option<f32>) -> Vec<Attribute> {
        let node = |column: usize| self.nodes.iter().map(|node| node[column]).collect();
        let leaf = |column: usize| self.leaves.iter().map(|leaf| leaf[column]).collect();
        let mut attributes = vec![
            ints("nodes_treeids", node(0)),
            ints("nodes_nodeids", node(1)),
            ints("nodes_featureids", node(2)),
            ints("nodes_missing_value_tracks_true", node(3)),
            ints("nodes_truenodeids", node(4)),
            ints("nodes_falsenodeids", node(5)),
            ints("target_treeids", leaf(0)),
            ints("target_nodeids", leaf(1)),
            ints("target_ids", leaf(2)),
            floats("nodes_values", self.thresholds),
            floats("target_weights", self.weights),
            Attribute {
                name: "nodes_modes".to_owned(),
                strings: self.modes,
                r#type: Kind::Strings as i32,
                ..Attribute::default()
            },
            Attribute {
                name: "n_targets".to_owned(),
                i: 1,
                r#type: Kind::Int as i32,
                ..Attribute::default()
            },
        ];
        attributes.extend(base.map(|base| floats("base_values", vec![base])));
        attributes
    }
}

pub fn ints(name: &str, ints: Vec<i64>) -> Attribute {
    Attribute {
        name: name.to_owned(),
        ints,
        r#type: Kind::Ints as i32,
        ..Attribute::default()
    }
}

pub fn floats(name: &str, floats: Vec<f32>) -> Attribute {
    Attribute {
        name: name.to_owned(),
        floats,
        r#type: Kind::Floats as i32,
        ..Attribute::default()
    }
}

pub fn text(name: &str, s: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        s: s.as_bytes().to_vec(),
        r#type: Kind::String as i32,
        ..Attribute::default()
    }
}
