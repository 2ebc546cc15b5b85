//! The simulated payment systems and the network between: what they send, again and again, and in what order it arrives.

use fraudgate_core::{
    road::{Asked, Engine},
    wire,
};

use crate::{
    random::Random,
    scenario::{DAY_US, HOUR_US, START_US, Scenario},
};

/// One message.
#[derive(Clone, Debug)]
enum Message {
    Transaction(wire::Transaction),
    Label(wire::Label),
    Outcome(wire::Outcome),
    Erasure(wire::EraseRequest),
}

/// Something that was sent.
#[derive(Clone, Debug)]
struct Sent {
    message: Message,
    answered: bool,
}

/// Those who ask.
#[derive(Default)]
pub struct Clients {
    sent: Vec<Sent>,
    /// Places among those, in the order in which they arrive.
    arriving: Vec<usize>,
}

impl Clients {
    /// Sends something. `now_us` is how long the simulation lasts.
    pub fn send(&mut self, scenario: &Scenario, now_us: i64, random: &mut Random) {
        let message = match random.below(100) {
            0..12 => return self.again(random),
            12..17 => self.other_payload(random),
            17..27 => self.label(random),
            27..33 => self.outcome(random),
            33..35 => self.erasure(random),
            _ => None,
        };
        let message = message.unwrap_or_else(|| {
            let id = format!("t{}", self.sent.len());
            Message::Transaction(transaction(scenario, id, now_us, random))
        });
        self.sent.push(Sent {
            message,
            answered: false,
        });
        self.arrive(self.sent.len() - 1, random);
    }

    /// Sends everything again that was not answered.
    pub fn send_unanswered(&mut self, random: &mut Random) {
        for place in 0..self.sent.len() {
            if !self.sent[place].answered && !self.arriving.contains(&place) {
                self.arrive(place, random);
            }
        }
    }

    /// How many wait for an answer.
    pub fn unanswered(&self) -> usize {
        self.sent.iter().filter(|sent| !sent.answered).count()
    }

    /// What has arrived, at most so much of it: what was sent, as the gate admits it.
    pub fn arrived(&mut self, engine: &Engine, most: usize, random: &mut Random) -> (Vec<usize>, Vec<Asked>) {
        let taken: Vec<usize> = self.arriving.drain(..most.min(self.arriving.len())).collect();
        let asked = taken
            .iter()
            .map(|&place| admit(engine, &self.sent[place].message, random));
        let asked = asked.collect();
        (taken, asked)
    }

    /// An answer reached its caller, or was lost on its way.
    pub fn answer(&mut self, place: usize, random: &mut Random) {
        if !random.once_in(12) {
            self.sent[place].answered = true;
        }
    }

    /// All connections break.
    pub fn cut(&mut self) {
        self.arriving.clear();
    }

    fn arrive(&mut self, place: usize, random: &mut Random) {
        let at = if random.once_in(3) {
            random.below(self.arriving.len() + 1)
        } else {
            self.arriving.len()
        };
        self.arriving.insert(at, place);
        if random.once_in(20) {
            self.arriving.push(place);
        }
    }

    fn again(&mut self, random: &mut Random) {
        if let Some(place) = self.lately(random) {
            self.arrive(place, random);
        }
    }

    /// Something that was sent, rather lately.
    fn lately(&self, random: &mut Random) -> Option<usize> {
        let back = if random.once_in(3) { self.sent.len() } else { 12 };
        let last = self.sent.len().checked_sub(1)?;
        last.checked_sub(random.below(back.min(last + 1)))
    }

    fn earlier(&self, random: &mut Random) -> Option<wire::Transaction> {
        match &self.sent[self.lately(random)?].message {
            Message::Transaction(transaction) => Some(transaction.clone()),
            Message::Label(_) | Message::Outcome(_) | Message::Erasure(_) => None,
        }
    }

    fn other_payload(&self, random: &mut Random) -> Option<Message> {
        let mut transaction = self.earlier(random)?;
        transaction.amount_minor = transaction.amount_minor.map(|minor| minor + 1);
        Some(Message::Transaction(transaction))
    }

    fn label(&self, random: &mut Random) -> Option<Message> {
        let transaction = self.earlier(random)?;
        let classes = [
            wire::LabelClass::ThirdPartyFraud,
            wire::LabelClass::FirstPartyFraud,
            wire::LabelClass::Genuine,
        ];
        let status = if random.once_in(5) {
            wire::LabelStatus::Withdrawn
        } else {
            wire::LabelStatus::Asserted
        };
        let source = if random.once_in(6) {
            wire::LabelSource::Rescore
        } else {
            wire::LabelSource::Chargeback
        };
        Some(Message::Label(wire::Label {
            program: transaction.program.clone(),
            subject: Some(subject(transaction)),
            class: random.one_of(&classes) as i32,
            status: status as i32,
            source: source as i32,
        }))
    }

    fn outcome(&self, random: &mut Random) -> Option<Message> {
        let transaction = self.earlier(random)?;
        let fate = random.one_of(&[wire::Fate::Approved, wire::Fate::Declined, wire::Fate::TimedOut]);
        Some(Message::Outcome(wire::Outcome {
            program: transaction.program.clone(),
            subject: Some(subject(transaction)),
            fate: fate as i32,
            decider: wire::Decider::Issuer as i32,
            ..wire::Outcome::default()
        }))
    }
}

impl Clients {
    /// Someone of those who paid lately is to be forgotten.
    fn erasure(&self, random: &mut Random) -> Option<Message> {
        let transaction = self.earlier(random)?;
        let entities = transaction.entities.len();
        Some(Message::Erasure(wire::EraseRequest {
            program: transaction.program,
            entity: transaction.entities.into_iter().nth(random.below(entities)),
        }))
    }
}

fn subject(transaction: wire::Transaction) -> wire::Subject {
    wire::Subject {
        transaction_id: transaction.id,
        event_time_us: transaction.event_time_us,
        kind: transaction.kind,
        entities: transaction.entities,
    }
}

fn transaction(scenario: &Scenario, id: String, now_us: i64, random: &mut Random) -> wire::Transaction {
    let late_us = match random.below(40) {
        0..4 => random.within(0, 10 * 60_000_000),
        4..6 => random.within(0, 2 * HOUR_US),
        6 => random.within(0, DAY_US),
        // Ahead of the scorer's clock, but not by much.
        7 => -random.within(0, 90_000_000),
        _ => 0,
    };
    // Some moments are shared.
    let event_time_us = (START_US + now_us - late_us).max(START_US) / 1_000_000 * 1_000_000;
    let kinds = [
        wire::Kind::Purchase,
        wire::Kind::Purchase,
        wire::Kind::Purchase,
        wire::Kind::Withdrawal,
        wire::Kind::Withdrawal,
        wire::Kind::Refund,
    ];
    let mut key = |name: &str| wire::EntityKey {
        name: name.to_owned(),
        // The first are the hottest.
        value: (random.below(scenario.keys) * random.below(scenario.keys) / scenario.keys).to_string(),
    };
    let mut entities = vec![key("customer"), key("terminal")];
    if random.once_in(10) {
        entities.remove(random.below(2));
    }
    let mut attributes = Vec::new();
    if random.once_in(2) {
        attributes.push(wire::Attribute {
            name: "age".to_owned(),
            value: Some(wire::attribute::Value::Number(random.within(0, 90) as f64)),
        });
    }
    wire::Transaction {
        id,
        program: scenario.served[random.below(scenario.served.len())].name.to_owned(),
        event_time_us,
        kind: if random.once_in(40) {
            0
        } else {
            random.one_of(&kinds) as i32
        },
        mode: if random.once_in(6) {
            wire::Mode::Fold
        } else {
            wire::Mode::Score
        } as i32,
        amount_minor: Some(random.within(0, 20_000)),
        currency: random.one_of(&["EUR", "EUR", "EUR", "USD"]).to_owned(),
        entities,
        attributes,
        ..wire::Transaction::default()
    }
}

/// Passes the gate, with a position as a stream has one.
fn admit(engine: &Engine, message: &Message, random: &mut Random) -> Asked {
    let position = random.once_in(4).then(|| Box::from([1, 2, random.below(9) as u8]));
    let asked = match message {
        Message::Transaction(sent) => engine.admit(sent).map(|mut admitted| {
            admitted.position = position;
            Asked::Transaction(Box::new(admitted))
        }),
        Message::Label(sent) => engine.admit_label(sent).map(|mut admitted| {
            admitted.position = position;
            Asked::Label(Box::new(admitted))
        }),
        Message::Outcome(sent) => engine.admit_outcome(sent).map(|mut admitted| {
            admitted.position = position;
            Asked::Outcome(Box::new(admitted))
        }),
        Message::Erasure(sent) => engine.admit_erasure(sent).map(Asked::Erasure),
    };
    asked.unwrap_or_else(Asked::Refused)
}
