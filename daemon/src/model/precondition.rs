//! What a caller believes to be there, so that nobody overwrites what they have not seen (RFC 9110, section 13.1).

/// Versions that a caller lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    /// Whatever there is.
    Any,
    /// One of these.
    These(Vec<String>),
}

/// Under which circumstances a change is wanted. The default is: always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Precondition {
    /// Only when there is one of these.
    pub(crate) one_of: Option<Versions>,
    /// Only when there is none of these.
    pub(crate) none_of: Option<Versions>,
}

impl Precondition {
    /// Whether it holds for the version that there is; `None` when there is nothing.
    pub(crate) fn holds(&self, current: Option<&str>) -> bool {
        self.one_of.as_ref().is_none_or(|versions| versions.list(current))
            && !self.none_of.as_ref().is_some_and(|versions| versions.list(current))
    }
}

impl Versions {
    fn list(&self, current: Option<&str>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::These(versions), Some(current)) => versions.iter().any(|version| version == current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table() {
        let these = |versions: &[&str]| Some(Versions::These(versions.iter().map(ToString::to_string).collect()));
        let any = || Some(Versions::Any);
        for (one_of, none_of, [nothing, one, two]) in [
            (None, None, [true, true, true]),
            (any(), None, [false, true, true]),
            (these(&["1"]), None, [false, true, false]),
            (these(&["0", "1"]), None, [false, true, false]),
            (these(&[]), None, [false, false, false]),
            (None, any(), [true, false, false]),
            (None, these(&["1"]), [true, false, true]),
            (these(&["1"]), these(&["1"]), [false, false, false]),
        ] {
            let precondition = Precondition { one_of, none_of };
            let row = [None, Some("1"), Some("2")].map(|current| precondition.holds(current));
            assert_eq!(row, [nothing, one, two], "{precondition:?}");
        }
    }
}
