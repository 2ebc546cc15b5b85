//! Reads the forest back out of ONNX bytes: one `TreeEnsembleRegressor` of summed leaves, as `models/export.py` writes it.
//!
//! What is read means what ONNX Runtime makes of the same bytes. So everything else is refused, with the reason: an
//! attribute that is not known, another comparison, another order of nodes.

use std::collections::HashSet;

use prost::Message;

use super::proto::{Attribute, Kind, Model, Node as GraphNode};

/// The operator set that says what the node means.
const DOMAIN: &str = "ai.onnx.ml";
const OPSET: i64 = 3;

/// Trees whose leaves are summed in their order, in float32.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    pub trees: Vec<Tree>,
    /// What is added last.
    pub base: f32,
}

/// A tree's nodes, the root first, each before its children.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree(pub Vec<Node>);

/// A node of a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Split(Split),
    /// What it adds to the score.
    Leaf(f32),
}

/// `x <= threshold` goes left, in float32; a missing value goes left where `missing_left`.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    pub feature: usize,
    /// Never NaN.
    pub threshold: f32,
    pub missing_left: bool,
    /// Places in the tree.
    pub left: usize,
    pub right: usize,
}

impl Split {
    pub fn goes_left(&self, x: f32) -> bool {
        x <= self.threshold || (self.missing_left && x.is_nan())
    }
}

/// Why a graph cannot be walked.
#[derive(Clone, Debug, PartialEq)]
pub struct Unwalkable(pub String);

fn unwalkable<T>(why: impl Into<String>) -> Result<T, Unwalkable> {
    Err(Unwalkable(why.into()))
}

impl Ensemble {
    /// The forest of rows of so many features from the graph's `input` to its `output`.
    pub fn read(onnx: &[u8], input: &str, output: &str, features: usize) -> Result<Ensemble, Unwalkable> {
        let model = Model::decode(onnx).map_err(|error| Unwalkable(format!("its bytes are no ONNX: {error}")))?;
        let versions: Vec<i64> = (model.opset_import.iter().filter(|set| set.domain == DOMAIN))
            .map(|set| set.version)
            .collect();
        if versions != [OPSET] {
            return unwalkable(format!("its operator set {DOMAIN} is {versions:?}, not [{OPSET}]"));
        }
        let nodes = model.graph.map(|graph| graph.node).unwrap_or_default();
        let [node] = &nodes[..] else {
            return unwalkable(format!("it has {} nodes instead of one", nodes.len()));
        };
        if node.domain != DOMAIN || node.op_type != "TreeEnsembleRegressor" || !model.functions.is_empty() {
            return unwalkable(format!("its node is a {}, not a TreeEnsembleRegressor", node.op_type));
        }
        if node.input != [input] || node.output != [output] {
            return unwalkable("its node does not lead from its input to its output");
        }
        let columns = Columns::of(node)?;
        let mut trees = columns.trees(features)?;
        columns.weigh(&mut trees)?;
        Ok(Ensemble {
            trees,
            base: columns.base,
        })
    }
}

/// The node's attributes: a value for each node of the forest, then for each leaf.
#[derive(Default)]
struct Columns<'a> {
    tree: &'a [i64],
    node: &'a [i64],
    mode: &'a [Vec<u8>],
    feature: &'a [i64],
    threshold: &'a [f32],
    missing_left: &'a [i64],
    left: &'a [i64],
    right: &'a [i64],
    leaf_tree: &'a [i64],
    leaf_node: &'a [i64],
    leaf_target: &'a [i64],
    leaf_weight: &'a [f32],
    base: f32,
}

impl<'a> Columns<'a> {
    fn of(node: &'a GraphNode) -> Result<Columns<'a>, Unwalkable> {
        let mut columns = Columns::default();
        let mut seen = HashSet::new();
        for attribute in &node.attribute {
            let name = attribute.name.as_str();
            if !seen.insert(name) {
                return unwalkable(format!("it has two attributes {name}"));
            }
            match name {
                "nodes_treeids" => columns.tree = ints(attribute)?,
                "nodes_nodeids" => columns.node = ints(attribute)?,
                "nodes_modes" => columns.mode = strings(attribute)?,
                "nodes_featureids" => columns.feature = ints(attribute)?,
                "nodes_values" => columns.threshold = floats(attribute)?,
                "nodes_missing_value_tracks_true" => columns.missing_left = ints(attribute)?,
                "nodes_truenodeids" => columns.left = ints(attribute)?,
                "nodes_falsenodeids" => columns.right = ints(attribute)?,
                "target_treeids" => columns.leaf_tree = ints(attribute)?,
                "target_nodeids" => columns.leaf_node = ints(attribute)?,
                "target_ids" => columns.leaf_target = ints(attribute)?,
                "target_weights" => columns.leaf_weight = floats(attribute)?,
                "base_values" => match floats(attribute)? {
                    [base] if base.is_finite() => columns.base = *base,
                    other => return unwalkable(format!("base_values is {other:?}, not one number")),
                },
                // How often nodes were passed in training: no part of the score.
                "nodes_hitrates" => {}
                "n_targets" if of_kind(attribute, Kind::Int)?.i == 1 => {}
                "post_transform" if of_kind(attribute, Kind::String)?.s == b"NONE" => {}
                "aggregate_function" if of_kind(attribute, Kind::String)?.s == b"SUM" => {}
                "n_targets" | "post_transform" | "aggregate_function" => {
                    return unwalkable(format!("its {name} is not a plain sum's"));
                }
                _ => return unwalkable(format!("it has an attribute {name}, which is not known")),
            }
        }
        Ok(columns)
    }

    /// The trees, their leaves not weighed yet.
    fn trees(&self, features: usize) -> Result<Vec<Tree>, Unwalkable> {
        let count = self.tree.len();
        let lengths = [
            self.node.len(),
            self.mode.len(),
            self.feature.len(),
            self.threshold.len(),
            self.left.len(),
            self.right.len(),
        ];
        let missing = self.missing_left.len();
        if lengths.iter().any(|&length| length != count) || (missing != count && missing != 0) {
            return unwalkable("its columns of nodes are not equally long");
        }
        if count == 0 {
            return unwalkable("it has no trees");
        }
        let mut trees: Vec<Tree> = Vec::new();
        for at in 0..count {
            // ONNX Runtime takes the first node of a tree for its root, and sums trees in the order in which they stand.
            if (self.tree[at], self.node[at]) == (trees.len() as i64, 0) {
                trees.push(Tree(Vec::new()));
            }
            let expected = (
                trees.len() as i64 - 1,
                trees.last().map_or(0, |tree| tree.0.len() as i64),
            );
            let Some(Tree(nodes)) = trees.last_mut().filter(|_| (self.tree[at], self.node[at]) == expected) else {
                return unwalkable("its nodes do not stand in the order of their numbers");
            };
            nodes.push(self.node(at, features)?);
        }
        trees
            .iter()
            .enumerate()
            .try_for_each(|(number, tree)| tree.check(number))?;
        Ok(trees)
    }

    fn node(&self, at: usize, features: usize) -> Result<Node, Unwalkable> {
        let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        match &self.mode[at][..] {
            b"LEAF" => Ok(Node::Leaf(f32::NAN)),
            b"BRANCH_LEQ" => {
                let split = Split {
                    feature: place(self.feature[at]),
                    threshold: self.threshold[at],
                    missing_left: self.missing_left.get(at) == Some(&1),
                    left: place(self.left[at]),
                    right: place(self.right[at]),
                };
                match split.feature < features && !split.threshold.is_nan() {
                    true => Ok(Node::Split(split)),
                    false => unwalkable(format!(
                        "a split compares feature {} of {features} with {}",
                        self.feature[at], split.threshold
                    )),
                }
            }
            other => unwalkable(format!(
                "a node's mode is {}, neither BRANCH_LEQ nor LEAF",
                String::from_utf8_lossy(other)
            )),
        }
    }

    /// Gives each leaf its weight.
    fn weigh(&self, trees: &mut [Tree]) -> Result<(), Unwalkable> {
        let count = self.leaf_tree.len();
        if [self.leaf_node.len(), self.leaf_target.len(), self.leaf_weight.len()] != [count; 3] {
            return unwalkable("its columns of leaves are not equally long");
        }
        for at in 0..count {
            let (tree, node) = (self.leaf_tree[at], self.leaf_node[at]);
            let found = usize::try_from(tree).ok().and_then(|tree| trees.get_mut(tree));
            let found = found.and_then(|tree| usize::try_from(node).ok().and_then(|node| tree.0.get_mut(node)));
            match found {
                Some(Node::Leaf(weight)) if weight.is_nan() && self.leaf_target[at] == 0 => {
                    *weight = self.leaf_weight[at];
                }
                _ => {
                    return unwalkable(format!(
                        "node {node} of tree {tree} is weighed and no leaf, or weighed twice"
                    ));
                }
            }
            if !self.leaf_weight[at].is_finite() {
                return unwalkable(format!("leaf {node} of tree {tree} weighs {}", self.leaf_weight[at]));
            }
        }
        let unweighed = |node: &Node| matches!(node, Node::Leaf(weight) if weight.is_nan());
        match trees.iter().position(|tree| tree.0.iter().any(unweighed)) {
            Some(tree) => unwalkable(format!("a leaf of tree {tree} has no weight")),
            None => Ok(()),
        }
    }
}

impl Tree {
    /// Every node but the root has one parent, which stands before it: so it is a tree, and all of it is reached.
    fn check(&self, number: usize) -> Result<(), Unwalkable> {
        let mut has_parent = vec![false; self.0.len()];
        has_parent[0] = true;
        for (at, node) in self.0.iter().enumerate() {
            let Node::Split(split) = node else { continue };
            for child in [split.left, split.right] {
                match has_parent.get_mut(child) {
                    Some(parented @ false) if child > at => *parented = true,
                    _ => return unwalkable(format!("node {at} of tree {number} has a child that is not its own")),
                }
            }
        }
        match has_parent.iter().all(|&has| has) {
            true => Ok(()),
            false => unwalkable(format!("a node of tree {number} has no parent")),
        }
    }

    pub fn splits(&self) -> impl Iterator<Item = &Split> {
        self.0.iter().filter_map(|node| match node {
            Node::Split(split) => Some(split),
            Node::Leaf(_) => None,
        })
    }
}

fn of_kind(attribute: &Attribute, kind: Kind) -> Result<&Attribute, Unwalkable> {
    match attribute.r#type == kind as i32 {
        true => Ok(attribute),
        false => unwalkable(format!("its {} is of another type than {kind:?}", attribute.name)),
    }
}

fn ints(attribute: &Attribute) -> Result<&[i64], Unwalkable> {
    Ok(&of_kind(attribute, Kind::Ints)?.ints)
}

fn floats(attribute: &Attribute) -> Result<&[f32], Unwalkable> {
    Ok(&of_kind(attribute, Kind::Floats)?.floats)
}

fn strings(attribute: &Attribute) -> Result<&[Vec<u8>], Unwalkable> {
    Ok(&of_kind(attribute, Kind::Strings)?.strings)
}
