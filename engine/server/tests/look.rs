//! What is computed again of a journal is compared to the bit, and the first difference is named.

use std::{path::Path, sync::Arc};

use crate::configured::SECRET;
use crate::shop::{Bits, ask, drain, engine, manifest, purchase};
use fraudgate_core::{
    journal::{
        chunk,
        reader::{Next, Reader},
        segment::{Header, Open},
    },
    key::HashKey,
    model::Model,
    plan::Plan,
};
use fraudgate_server::journal::{
    JournalError, Settings, Writer, attend, clock,
    disk::{Disk, Folder},
    keeper::Keeper,
    keyring::Keyring,
    look::{self, Models},
    recover,
};
use serde_json::{Value, json};

/// An amount that no other input has, in the units that a feature has.
const AMOUNT: (i64, f32) = (4_321, 43.21);

/// Journals a few purchases; gives the only segment that holds any.
fn journal(path: &Path) -> u64 {
    let settings = Settings {
        segment_bytes: 1 << 20,
        ..crate::configured::settings(path)
    };
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(path).unwrap());
    let mut keyring = Keyring::open(disk.clone(), &SECRET).unwrap();
    let mut engine = engine(1);
    let recovered = recover(&*disk, &mut keyring, &mut engine, &mut |_, _| {}).unwrap();
    let (epoch, next) = (recovered.epoch, recovered.next_segment);
    let keeper = Keeper::begin(disk, keyring, &settings, epoch, next, Box::new(|| {})).unwrap();
    let attended = attend(keeper).unwrap();
    let writer = Writer::begin(attended, &settings, &recovered, 1, engine.programs(), clock()).unwrap();
    engine.journal_to(Box::new(writer));
    for number in 0..9_u8 {
        let amount = if number == 5 { AMOUNT.0 } else { i64::from(number) };
        let transaction = purchase(&number.to_string(), i64::from(number), number % 3, amount);
        let asked = ask(&engine, &transaction);
        drain(&mut engine, vec![asked]);
    }
    next
}

/// Changes what is sealed in a segment, as only who has its key can.
fn change(path: &Path, segment: u64, from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(path));
    let key = Keyring::open(disk.clone(), &SECRET).unwrap().key(segment).unwrap();
    let mut bytes = disk.read(segment, u64::MAX).unwrap();
    let header = Header::read(&bytes).unwrap();
    let mut open = Open::new(&header, &key).unwrap();
    let mut reader = Reader::new(&mut bytes, &key, None).unwrap();
    let (mut changed, mut changes) = (header.write().to_vec(), 0);
    while let Next::Chunk(read) = reader.advance().unwrap() {
        let mut body = vec![0; chunk::HEADER];
        body.extend_from_slice(read.body);
        for at in 0..body.len().saturating_sub(from.len()) {
            if body[at..].starts_with(from) {
                body[at..at + to.len()].copy_from_slice(to);
                changes += 1;
            }
        }
        let synced = changed.len() as u64;
        open.seal(&mut body, read.first, synced, read.count).unwrap();
        changed.extend_from_slice(&body);
    }
    assert!(changes > 0, "nothing was changed");
    std::fs::write(path.join(format!("{segment:016}.segment")), changed).unwrap();
}

/// The model of the shop with another forest, or none.
struct Forest(Option<u32>);

impl Models for Forest {
    fn find(&mut self, _: &[u8], plan: &Plan) -> Result<Option<Model>, JournalError> {
        Ok(self.0.map(|forest| Model::new(manifest(plan), Box::new(Bits(forest)))))
    }
}

/// How the fifth purchase comes out again, and how all do.
fn again(path: &Path, forest: Option<u32>) -> (Value, Value) {
    let key = HashKey {
        version: 1,
        secret: [7; 32],
    };
    let shown = look::show(path, &SECRET, &key, "shop", "5", &mut Forest(forest)).unwrap();
    let replayed = look::replay(path, &SECRET, 40, Some(&mut Forest(forest)), &mut |_, _| {}).unwrap();
    (shown["again"].clone(), replayed)
}

#[test]
fn what_was_journaled_comes_out_the_same_with_the_forest_that_answered() {
    let folder = tempfile::tempdir().unwrap();
    journal(folder.path());
    let (shown, replayed) = again(folder.path(), Some(17));
    assert_eq!(
        shown,
        json!({"features": {"result": "same"}, "assessment": {"result": "same"}})
    );
    for kind in ["features", "assessments"] {
        assert_eq!(replayed[kind]["same"], 9, "{kind}");
        assert_eq!(replayed[kind]["differing"], 0, "{kind}");
    }
}

#[test]
fn another_forest_under_the_same_digest_is_named_by_its_score() {
    let folder = tempfile::tempdir().unwrap();
    journal(folder.path());
    let (shown, replayed) = again(folder.path(), Some(18));
    assert_eq!(shown["features"]["result"], "same");
    assert_eq!(shown["assessment"]["name"], "fraud_probability");
    assert_eq!(replayed["assessments"]["differing"], 9);
    assert_eq!(replayed["assessments"]["first_difference"]["sequence"], 1);
}

#[test]
fn another_policy_than_the_one_that_answered_is_named_by_its_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let segment = journal(folder.path());
    let (verdicts, policy) = (again(folder.path(), Some(17)).1, crate::shop::POLICY.as_bytes());
    assert_eq!(verdicts["assessments"]["differing"], 0);
    // Whatever was approved is declined, and the other way round nothing is.
    let flipped = crate::shop::POLICY.replace(r#""challenge":50,"decline":80"#, r#""challenge":00,"decline":00"#);
    let flipped = flipped.replace(":00", ": 0");
    change(folder.path(), segment, policy, flipped.as_bytes());
    let (shown, replayed) = again(folder.path(), Some(17));
    assert_eq!(shown["features"]["result"], "same");
    assert_eq!(shown["assessment"]["name"], "policy_verdict");
    assert_eq!(shown["assessment"]["is"], "VERDICT_DECLINE");
    assert!(replayed["assessments"]["differing"].as_u64().unwrap() > 0);
}

#[test]
fn another_row_than_the_state_before_gives_is_named_by_its_feature() {
    let folder = tempfile::tempdir().unwrap();
    let segment = journal(folder.path());
    let (was, is) = (AMOUNT.1.to_le_bytes(), 43.25_f32.to_le_bytes());
    change(folder.path(), segment, &was, &is);
    let (shown, replayed) = again(folder.path(), Some(17));
    assert_eq!(
        shown["features"],
        json!({"result": "differs", "name": "amount", "was": 43.25_f32, "is": AMOUNT.1})
    );
    assert_eq!(replayed["features"]["first_difference"]["sequence"], 6);
    assert_eq!(replayed["features"]["differing"], 1);
}

#[test]
fn without_its_model_an_answer_is_unknown_and_its_features_are_not() {
    let folder = tempfile::tempdir().unwrap();
    journal(folder.path());
    let (shown, replayed) = again(folder.path(), None);
    assert_eq!(shown["features"]["result"], "same");
    assert_eq!(shown["assessment"]["result"], "unknown");
    assert_eq!(replayed["assessments"]["same"], 0);
    assert_eq!(replayed["features"]["same"], 9);
}
