//! Questions on a terminal, answers from the command line and its files, and what happens as text or JSON lines.
//!
//! What a box says is shown with its control characters taken out: they could move the cursor, or worse.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use coffer_api::SecretString;
use coffer_client::dialogue::{Choice, Dialogue, Event, NoAnswer, Topic, Typing};
use zeroize::Zeroizing;

const MAX_FILE_BYTES: u64 = 64 << 10;
/// How often something is asked that was not understood.
const MAX_TRIES: u32 = 5;

/// Answers that were given with the command line, and where each is taken from.
#[derive(Default)]
pub(crate) struct Given {
    answers: HashMap<Topic, VecDeque<SecretString>>,
    from_stdin: Vec<Topic>,
    /// Every question whether to go on is answered with yes.
    pub(crate) yes: bool,
    /// Where the recovery key is written.
    pub(crate) recovery_key_file: Option<PathBuf>,
}

impl Given {
    /// An answer that is no secret.
    pub(crate) fn text(&mut self, topic: Topic, text: Option<&str>) {
        if let Some(text) = text {
            self.answers.entry(topic).or_default().push_back(SecretString::new(text.to_owned()));
        }
    }

    /// Answers from a file, one a line: the next one is taken when the box refuses the one before. With `-` they are read
    /// from standard input when they are needed.
    pub(crate) fn lines(&mut self, topic: Topic, path: Option<&Path>) -> io::Result<()> {
        let Some(path) = path else { return Ok(()) };
        if path == Path::new("-") {
            self.from_stdin.push(topic);
            return Ok(());
        }
        let text = read(path)?;
        let answers = text.lines().filter(|line| !line.is_empty()).map(|line| SecretString::new(line.to_owned()));
        self.answers.entry(topic).or_default().extend(answers);
        Ok(())
    }
}

/// The text of a file that is not long.
pub(crate) fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(MAX_FILE_BYTES).unwrap_or(0)));
    file.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Where the person is, if there is one.
pub(crate) struct Terminal {
    given: Given,
    is_json: bool,
    is_interactive: bool,
}

impl Terminal {
    pub(crate) fn new(given: Given, is_json: bool) -> Self {
        Self { given, is_json, is_interactive: io::stdin().is_terminal() && io::stderr().is_terminal() }
    }

    /// The next answer that was given.
    async fn next_given(&mut self, topic: Topic) -> Result<Option<SecretString>, NoAnswer> {
        if let Some(answer) = self.given.answers.get_mut(&topic).and_then(VecDeque::pop_front) {
            return Ok(Some(answer));
        }
        if !self.given.from_stdin.contains(&topic) {
            return Ok(None);
        }
        match blocking(topic, || line(&mut io::stdin().lock())).await {
            Ok(line) => Ok(Some(line)),
            // There were fewer lines than questions.
            Err(NoAnswer::Stopped) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks on the terminal for a text.
    async fn type_in(&self, topic: Topic, text: &str, typing: Typing<'_>) -> Result<SecretString, NoAnswer> {
        let text = clean(text);
        match typing {
            Typing::Open(usual) => {
                let hint = usual.filter(|usual| !usual.is_empty()).map(|usual| format!(" [{}]", clean(usual)));
                let prompt = format!("{text}{}: ", hint.unwrap_or_default());
                let typed = blocking(topic, move || {
                    prompt_for(&prompt)?;
                    line(&mut io::stdin().lock())
                });
                let typed = typed.await?;
                Ok(if typed.expose().is_empty() {
                    SecretString::new(usual.unwrap_or_default().to_owned())
                } else {
                    typed
                })
            }
            Typing::Hidden => {
                let prompt = format!("{text}: ");
                blocking(topic, move || rpassword::prompt_password(prompt).map(SecretString::new)).await
            }
            Typing::HiddenTwice => {
                for _ in 0..MAX_TRIES {
                    let (first, second) = (format!("{text}: "), "The same again: ");
                    let first =
                        blocking(topic, move || rpassword::prompt_password(first).map(SecretString::new)).await?;
                    let again =
                        blocking(topic, move || rpassword::prompt_password(second).map(SecretString::new)).await?;
                    if first.expose() == again.expose() {
                        return Ok(first);
                    }
                    say("They differ.");
                }
                Err(NoAnswer::Stopped)
            }
        }
    }
}

impl Dialogue for Terminal {
    async fn ask(&mut self, topic: Topic, text: &str, typing: Typing<'_>) -> Result<SecretString, NoAnswer> {
        if let Some(answer) = self.next_given(topic).await? {
            return Ok(answer);
        }
        if !self.is_interactive {
            return match typing {
                Typing::Open(Some(usual)) => Ok(SecretString::new(usual.to_owned())),
                Typing::Open(None) | Typing::Hidden | Typing::HiddenTwice => Err(NoAnswer::Nobody(topic)),
            };
        }
        for _ in 0..MAX_TRIES {
            let typed = self.type_in(topic, text, typing).await?;
            if !typed.expose().is_empty() || typing == Typing::Open(Some("")) {
                return Ok(typed);
            }
        }
        Err(NoAnswer::Stopped)
    }

    async fn choose(
        &mut self,
        topic: Topic,
        text: &str,
        choices: &[Choice],
        usual: Option<usize>,
    ) -> Result<usize, NoAnswer> {
        if let Some(given) = self.given.answers.get_mut(&topic)
            && let Some(answer) = given.front()
        {
            let index = choices.iter().position(|choice| choice.value == answer.expose());
            if index.is_some() {
                given.pop_front();
            }
            return index.ok_or(NoAnswer::NotAChoice(topic));
        }
        if !self.is_interactive {
            return usual.ok_or(NoAnswer::Nobody(topic));
        }
        say(&clean(text));
        for (index, choice) in choices.iter().enumerate() {
            say(&format!("{:>3}  {}", index + 1, clean(&choice.label)));
        }
        let hint = usual.map(|usual| (usual + 1).to_string());
        for _ in 0..MAX_TRIES {
            let typed = self.type_in(topic, "Number", Typing::Open(hint.as_deref())).await?;
            let number: Option<usize> = typed.expose().trim().parse().ok();
            if let Some(index) = number.and_then(|number| number.checked_sub(1)).filter(|index| *index < choices.len())
            {
                return Ok(index);
            }
        }
        Err(NoAnswer::Stopped)
    }

    async fn confirm(&mut self, topic: Topic, text: &str) -> Result<bool, NoAnswer> {
        if self.given.yes {
            return Ok(true);
        }
        if !self.is_interactive {
            return Err(NoAnswer::Nobody(topic));
        }
        let typed = self.type_in(topic, &format!("{text} Type yes or no"), Typing::Open(Some("no"))).await?;
        Ok(typed.expose().trim().eq_ignore_ascii_case("yes"))
    }

    fn can_keep_recovery_key(&self) -> Result<(), NoAnswer> {
        if self.is_interactive || self.given.recovery_key_file.is_some() {
            Ok(())
        } else {
            Err(NoAnswer::Nobody(Topic::RecoveryKey))
        }
    }

    async fn keep_recovery_key(&mut self, key: &SecretString) -> Result<(), NoAnswer> {
        if let Some(path) = self.given.recovery_key_file.clone() {
            let key = key.clone();
            match blocking(Topic::RecoveryKey, move || write(&path, &key)).await {
                Ok(()) => return Ok(()),
                // It is shown this once, so it is shown in any way that is left.
                Err(error) => say(&error.to_string()),
            }
        }
        say("The recovery key opens the vault when the master password is lost. It is shown this once; write it down:");
        say(&format!("\n    {}\n", clean(key.expose())));
        while self.is_interactive && !self.confirm(Topic::RecoveryKey, "Is it kept?").await? {}
        Ok(())
    }

    fn tell(&mut self, event: &Event) {
        if !self.is_json {
            print(&clean(&event.to_string()));
        } else if let Ok(line) = serde_json::to_string(event) {
            print(&line);
        }
    }
}

/// Reading waits for a person: not on the thread that keeps the session.
async fn blocking<T: Send + 'static>(
    topic: Topic,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, NoAnswer> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| NoAnswer::Stopped)?;
    done.map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => NoAnswer::Stopped,
        _ => NoAnswer::Io { topic, source },
    })
}

/// The next line, without its end.
pub(crate) fn line(input: &mut impl BufRead) -> io::Result<SecretString> {
    // As large as a line may be, so that it is not moved and left behind while it grows.
    let mut line = Zeroizing::new(String::with_capacity(usize::try_from(MAX_FILE_BYTES).unwrap_or(0)));
    let length = input.take(MAX_FILE_BYTES).read_line(&mut line)?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // Half of a secret is none.
    if !line.ends_with('\n') && length as u64 == MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(SecretString::new(line))
}

fn write(path: &Path, key: &SecretString) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// What happens: the result of the program. That nobody reads it is no reason to leave a box half set up.
pub(crate) fn print(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}

/// A secret that was asked for. Unlike what happens, it is for somebody: that nobody reads it is an error.
pub(crate) fn print_secret(secret: &str, with_newline: bool) -> io::Result<()> {
    // What the library would keep to write it later, it does not wipe.
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    stdout.write_all(secret.as_bytes())?;
    if with_newline {
        stdout.write_all(b"\n")?;
    }
    Ok(())
}

/// The first line of a file; of standard input for `-`, or without one.
pub(crate) fn first_line(path: Option<&Path>) -> io::Result<SecretString> {
    match path.filter(|path| *path != Path::new("-")) {
        Some(path) => line(&mut read(path)?.as_bytes()),
        None => line(&mut io::stdin().lock()),
    }
}

/// What belongs to a question, or to a result.
pub(crate) fn say(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

fn prompt_for(prompt: &str) -> io::Result<()> {
    let mut stderr = io::stderr();
    stderr.write_all(prompt.as_bytes())?;
    stderr.flush()
}

/// Without what a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_cannot_move_the_cursor() {
        assert_eq!(clean("Home\x1b[2J\r\u{9b}1m\nnext"), "Home\u{fffd}[2J\u{fffd}\u{fffd}1m\nnext");
    }

    #[test]
    fn a_line_ends_before_its_end() {
        for (input, text) in [("a b \n", "a b "), ("a\r\nb", "a"), ("a", "a"), ("\n", "")] {
            assert_eq!(line(&mut input.as_bytes()).unwrap().expose(), text);
        }
        assert_eq!(line(&mut "".as_bytes()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let long = "x".repeat(1 << 17);
        assert_eq!(line(&mut long.as_bytes()).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[tokio::test]
    async fn answers_of_a_file_are_taken_one_after_the_other() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "first\n\nsecond\n").unwrap();
        let mut given = Given::default();
        given.lines(Topic::WifiPassword, Some(file.path())).unwrap();
        let mut terminal = Terminal { given, is_json: false, is_interactive: false };
        for expected in ["first", "second"] {
            let answer = terminal.ask(Topic::WifiPassword, "", Typing::Hidden).await.unwrap();
            assert_eq!(answer.expose(), expected);
        }
        let none = terminal.ask(Topic::WifiPassword, "", Typing::Hidden).await;
        assert!(matches!(none, Err(NoAnswer::Nobody(Topic::WifiPassword))));
    }

    #[tokio::test]
    async fn a_choice_that_is_not_there_yet_is_kept_until_it_is() {
        let mut given = Given::default();
        given.text(Topic::Network, Some("=Home"));
        let mut terminal = Terminal { given, is_json: false, is_interactive: false };
        let others = [Choice::new("=Other", "Other")];
        let all = [Choice::new("=Other", "Other"), Choice::new("=Home", "Home")];
        let absent = terminal.choose(Topic::Network, "", &others, None).await;
        assert!(matches!(absent, Err(NoAnswer::NotAChoice(_))));
        assert_eq!(terminal.choose(Topic::Network, "", &all, None).await.unwrap(), 1);
        assert!(matches!(terminal.choose(Topic::Network, "", &all, None).await, Err(NoAnswer::Nobody(_))));
        assert_eq!(terminal.choose(Topic::Network, "", &all, Some(0)).await.unwrap(), 0);
    }

    #[test]
    fn a_recovery_key_overwrites_nothing_and_is_for_one_reader() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = SecretString::new("ABCD".to_owned());
        write(&path, &key).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ABCD\n");
        assert_eq!(write(&path, &key).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
