//! A person who answers as a test has it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_api::SecretString;
use coffer_client::{
    boxes::Boxes,
    dialogue::{Choice, Dialogue, Event, NoAnswer, Topic, Typing},
    setup::{Setup, Surroundings},
    visit::{Visit, Wanted},
};
use coffer_crypto::channel::Failure;
use tempfile::TempDir;

use crate::fake_box::{ACCOUNT_PASSWORD, Air, CODE, FakeBox, MASTER_PASSWORD, TICKET, WIFI_PASSWORD};

/// What was asked and told, for looking at it afterwards.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    pub(crate) topics: Arc<Mutex<Vec<Topic>>>,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) recovery_key: Arc<Mutex<Option<String>>>,
}

impl Heard {
    /// The codes of the failures that were told.
    pub(crate) fn failures(&self) -> Vec<String> {
        let code = |failure: &Failure| failure.code.clone().into_owned();
        let events = self.events.lock().unwrap();
        events
            .iter()
            .filter_map(|event| if let Event::Failed { failure, .. } = event { Some(code(failure)) } else { None })
            .collect()
    }

    pub(crate) fn asked(&self, topic: Topic) -> usize {
        self.topics.lock().unwrap().iter().filter(|asked| **asked == topic).count()
    }

    pub(crate) fn told(&self, is_it: impl Fn(&Event) -> bool) -> bool {
        self.events.lock().unwrap().iter().any(is_it)
    }
}

pub(crate) struct Script {
    pub(crate) answers: HashMap<Topic, VecDeque<String>>,
    pub(crate) heard: Heard,
    /// How long this person looks for the answer.
    pub(crate) slow: Option<(Topic, Duration)>,
    pub(crate) can_keep: bool,
}

impl Script {
    /// Answers for the whole way.
    pub(crate) fn owner() -> Self {
        let answers = [
            (Topic::Code, CODE),
            (Topic::Country, "de"),
            (Topic::Network, "=Home"),
            (Topic::WifiPassword, WIFI_PASSWORD),
            (Topic::Reach, "registrar"),
            (Topic::Registrar, "https://registrar.example.com"),
            (Topic::Proof, "ticket"),
            (Topic::Ticket, TICKET),
            (Topic::MasterPassword, MASTER_PASSWORD),
            (Topic::Username, "ada"),
            (Topic::AccountPassword, ACCOUNT_PASSWORD),
        ];
        Self::with(&answers)
    }

    pub(crate) fn with(answers: &[(Topic, &str)]) -> Self {
        let mut script = Self { answers: HashMap::new(), heard: Heard::default(), slow: None, can_keep: true };
        for (topic, answer) in answers {
            script = script.then(*topic, answer);
        }
        script
    }

    /// These answers, one after the other, in place of others.
    pub(crate) fn but(mut self, topic: Topic, answers: &[&str]) -> Self {
        self.answers.insert(topic, answers.iter().map(ToString::to_string).collect());
        self
    }

    fn then(mut self, topic: Topic, answer: &str) -> Self {
        self.answers.entry(topic).or_default().push_back(answer.to_owned());
        self
    }

    async fn next(&mut self, topic: Topic) -> Option<String> {
        self.heard.topics.lock().unwrap().push(topic);
        if let Some((slow, time)) = self.slow
            && slow == topic
        {
            tokio::time::sleep(time).await;
        }
        self.answers.get_mut(&topic).and_then(VecDeque::pop_front)
    }
}

impl Dialogue for Script {
    async fn ask(&mut self, topic: Topic, _text: &str, typing: Typing<'_>) -> Result<SecretString, NoAnswer> {
        match (self.next(topic).await, typing) {
            (Some(answer), _) => Ok(SecretString::new(answer)),
            (None, Typing::Open(Some(usual))) => Ok(SecretString::new(usual.to_owned())),
            (None, _) => Err(NoAnswer::Nobody(topic)),
        }
    }

    async fn choose(
        &mut self,
        topic: Topic,
        _text: &str,
        choices: &[Choice],
        usual: Option<usize>,
    ) -> Result<usize, NoAnswer> {
        let Some(answer) = self.next(topic).await else { return usual.ok_or(NoAnswer::Nobody(topic)) };
        let index = choices.iter().position(|choice| choice.value == answer);
        if index.is_none() {
            self.answers.entry(topic).or_default().push_front(answer);
        }
        index.ok_or(NoAnswer::NotAChoice(topic))
    }

    async fn confirm(&mut self, topic: Topic, _text: &str) -> Result<bool, NoAnswer> {
        self.next(topic).await.map(|answer| answer == "yes").ok_or(NoAnswer::Nobody(topic))
    }

    fn can_keep_recovery_key(&self) -> Result<(), NoAnswer> {
        if self.can_keep { Ok(()) } else { Err(NoAnswer::Nobody(Topic::RecoveryKey)) }
    }

    async fn keep_recovery_key(&mut self, key: &SecretString) -> Result<(), NoAnswer> {
        *self.heard.recovery_key.lock().unwrap() = Some(key.expose().to_owned());
        Ok(())
    }

    fn tell(&mut self, event: &Event) {
        self.heard.events.lock().unwrap().push(event.clone());
    }
}

/// A laptop: what it keeps, and a box in its reach.
pub(crate) struct Laptop {
    pub(crate) home: TempDir,
    pub(crate) fake_box: FakeBox,
}

impl Laptop {
    pub(crate) fn beside(fake_box: &FakeBox) -> Self {
        Self { home: tempfile::tempdir().unwrap(), fake_box: fake_box.clone() }
    }

    pub(crate) fn boxes(&self) -> Boxes {
        Boxes::in_directory(self.home.path().join("coffer"))
    }

    pub(crate) fn visit(&self, script: Script) -> Visit<Air, Script> {
        Visit::new(Air::around(&self.fake_box), script, self.boxes(), Wanted::default())
    }

    pub(crate) fn setup(&self, script: Script) -> Setup<Air, Script> {
        Setup::new(self.visit(script), surroundings())
    }
}

pub(crate) fn surroundings() -> Surroundings {
    Surroundings {
        now: || "2026-11-28T12:00:00Z".parse().unwrap(),
        country: None,
        likely_country: None,
        certificate_pem: None,
        host_name: "laptop".to_owned(),
        only_network: false,
    }
}
