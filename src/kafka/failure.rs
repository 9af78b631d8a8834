//! What went wrong at the broker, as one of a few things to do next, and as one sentence for a person.
//!
//! Knows librdkafka's errors. Must not know what was being done but by the words it is given.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Longest reason of librdkafka that is passed on. Characters.
const SHOWN_CHARS: usize = 300;

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// A person must mend something: end before anything is judged.
    Mend,
    /// It may be better soon: try again, each time later.
    Retry,
    /// The transaction is lost and nothing else: abort it, and judge its events again.
    Abort,
    /// This client is of no use any more, because another took its name or it failed for good: make a new one with the
    /// same transactional id, and read what was really committed.
    Renew,
}

/// What kind of thing is in the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Settings, topics.
    SetUp,
    /// No broker answers.
    Unreachable,
    /// A broker answers and does not let us.
    Refused,
    /// Anything else.
    Trouble,
}

/// Something that failed at the broker.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What to do next.
    pub next: Next,
    /// What is in the way.
    pub cause: Cause,
    text: String,
}

/// The last that librdkafka said about its connections: its results only say that there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// Its code.
    pub code: Code,
    /// Its words.
    pub reason: String,
}

impl Failure {
    /// What a result of librdkafka means.
    ///
    /// * `doing`: what was tried, after "cannot"; names the thing and where it is.
    /// * `trouble`: what it last said about its connections.
    pub fn new(doing: &str, error: &KafkaError, trouble: Option<&Trouble>) -> Self {
        let own = code(error);
        // Only the connection knows why there is none.
        let told = trouble.filter(|_| own.is_none_or(|own| cause(own) == Cause::Unreachable));
        let (of, why) = match (told, own) {
            (Some(trouble), _) => (trouble.code, trouble.reason.clone()),
            (None, Some(own)) => (own, error.to_string()),
            (None, None) => (Code::Unknown, error.to_string()),
        };
        let cause = if matches!(
            error,
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_)
        ) {
            Cause::SetUp
        } else {
            cause(of)
        };
        Self {
            next: next(error, own, cause),
            cause,
            text: format!("cannot {doing}: {}; {}", shown(&why), remedy(of, cause, &why)),
        }
    }

    /// A failure of the set-up that librdkafka has not seen.
    pub fn set_up(text: String) -> Self {
        Self { next: Next::Mend, cause: Cause::SetUp, text }
    }

    /// The same with something that was found out besides.
    pub fn adding(self, found: &str) -> Self {
        Self { text: format!("{} ({})", self.text, shown(found)), ..self }
    }

    /// Something else than the broker is in the way, and may pass.
    pub fn passing(text: String) -> Self {
        Self { next: Next::Retry, cause: Cause::Trouble, text }
    }

    /// The same of what had begun: what was right then may be right again, and whoever starts it anew finds out.
    pub fn after_start(self) -> Self {
        let cause = if self.cause == Cause::SetUp { Cause::Trouble } else { self.cause };
        Self { cause, ..self }
    }

    /// Exit status of a command that ends with it: 64 something is to be mended, 69 no broker answers, 77 it does not
    /// let us, 75 try again (all of sysexits.h).
    pub fn exit_code(&self) -> u8 {
        match self.cause {
            Cause::SetUp => 64,
            Cause::Unreachable => 69,
            Cause::Refused => 77,
            Cause::Trouble => 75,
        }
    }
}

/// The code of an error. That of an admin operation is one, though rdkafka says otherwise.
fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

fn next(error: &KafkaError, code: Option<Code>, cause: Cause) -> Next {
    if let KafkaError::Transaction(error) = error {
        return if error.is_fatal() {
            Next::Renew
        } else if error.txn_requires_abort() {
            Next::Abort
        } else if error.is_retriable() || cause != Cause::SetUp {
            Next::Retry
        } else {
            Next::Mend
        };
    }
    let renews = [
        Code::Fatal,
        Code::Fenced,
        Code::ProducerFenced,
        Code::InvalidProducerEpoch,
        Code::InvalidProducerIdMapping,
        Code::UnknownProducerId,
        Code::TransactionCoordinatorFenced,
        Code::FencedInstanceId,
    ];
    match (error, code) {
        (KafkaError::MessageConsumptionFatal(_), _) => Next::Renew,
        (_, Some(code)) if renews.contains(&code) => Next::Renew,
        _ if cause == Cause::SetUp => Next::Mend,
        _ => Next::Retry,
    }
}

fn cause(code: Code) -> Cause {
    match code {
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::SSL
        | Code::OperationTimedOut
        | Code::MessageTimedOut
        | Code::PurgeQueue
        | Code::PurgeInflight
        | Code::RequestTimedOut
        | Code::BrokerNotAvailable
        | Code::NetworkException => Cause::Unreachable,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => Cause::Refused,
        Code::InvalidArgument
        | Code::InvalidConfig
        | Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidSessionTimeout
        | Code::InvalidTransactionTimeout
        | Code::InvalidGroupId
        | Code::InconsistentGroupProtocol
        | Code::PolicyViolation
        | Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::NotConfigured
        | Code::UnsupportedFeature
        | Code::UnsupportedVersion => Cause::SetUp,
        _ => Cause::Trouble,
    }
}

/// What a person can do.
///
/// * `why`: librdkafka's words. They alone tell some things apart: a certificate that is past and a port where nobody
///   encrypts may have the same code.
fn remedy(code: Code, cause: Cause, why: &str) -> &'static str {
    let told = TOLD_IN_WORDS.iter().find(|(words, _)| words.iter().any(|words| why.contains(words)));
    if let (Some((_, remedy)), Cause::Unreachable | Cause::Refused) = (told, cause) {
        return remedy;
    }
    match code {
        Code::Resolve => "check the names in [kafka] brokers, and the name service",
        Code::SSL => "check [kafka.security]: protocol, ca_file, certificate_file and key_file",
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "check [kafka.security] username, password and mechanism, and that the broker knows them"
        }
        Code::UnsupportedSASLMechanism | Code::IllegalSASLState => {
            "check [kafka.security] protocol and mechanism against the listener of the broker"
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => {
            "grant it: `tiltmeter topics` lists the commands under access"
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            "make the topics with `tiltmeter topics --create`"
        }
        Code::InvalidReplicationFactor => "give --replication no more than there are brokers",
        Code::InvalidSessionTimeout | Code::InvalidTransactionTimeout => {
            "the broker allows less: lower [kafka] session_timeout_ms or transaction_timeout_ms"
        }
        _ => match cause {
            Cause::SetUp => "mend [kafka] in the configuration",
            Cause::Unreachable => {
                "check [kafka] brokers, that the broker runs, and that [kafka.security] protocol is that of its listener"
            }
            Cause::Refused => "check [kafka.security]",
            Cause::Trouble => "try again; if it stays, look into the log of the broker",
        },
    }
}

/// Words of librdkafka and of brokers, and what a person can do then.
const TOLD_IN_WORDS: &[(&[&str], &str)] = &[
    (
        &["certificate verify failed"],
        "the certificate of the broker has to be issued by one in [kafka.security] ca_file, to hold today, and to name the \
         host in [kafka] brokers",
    ),
    (
        &[
            "certificate required",
            "bad certificate",
            "unknown ca",
            "certificate unknown",
            "alert certificate expired",
        ],
        "the broker believes no certificate that was shown: name certificate_file and key_file in [kafka.security], issued \
         by one whom it trusts, and renew them in time",
    ),
    (
        &["OAUTHBEARER", "invalid_token", "JWT"],
        "check [kafka.security] oauth_token: that its file is renewed in time, and that the broker knows who signs it",
    ),
];

/// A reason on one line, cut, with nothing in it that moves a cursor.
fn shown(reason: &str) -> String {
    let line = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(SHOWN_CHARS).collect::<String>().trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(code: Code, reason: &str) -> Option<Trouble> {
        Some(Trouble { code, reason: reason.to_owned() })
    }

    #[test]
    fn a_broker_that_is_away_a_wrong_password_and_a_wrong_topic_end_with_different_codes() {
        let away = KafkaError::MetadataFetch(Code::BrokerTransportFailure);
        let refused = trouble(Code::BrokerTransportFailure, "a:1: Connect failed: Connection refused");
        let failure = Failure::new("reach a:1", &away, refused.as_ref());
        assert_eq!((failure.next, failure.exit_code()), (Next::Retry, 69));
        assert!(failure.to_string().contains("Connection refused; check [kafka] brokers"), "{failure}");
        let wrong = trouble(Code::Authentication, "a:1: SASL authentication error");
        let failure = Failure::new("reach a:1", &away, wrong.as_ref());
        assert_eq!((failure.next, failure.exit_code()), (Next::Retry, 77));
        let failure = Failure::new("read x", &KafkaError::MetadataFetch(Code::UnknownTopic), wrong.as_ref());
        assert_eq!((failure.next, failure.exit_code()), (Next::Mend, 64));
        assert!(!failure.to_string().contains("SASL"), "an old trouble explains nothing new: {failure}");
    }

    #[test]
    fn only_what_never_began_ends_with_the_code_after_which_nobody_starts_it_again() {
        let missing = Failure::set_up("a password cannot be read".to_owned());
        assert_eq!(missing.clone().exit_code(), 64);
        assert_eq!(missing.after_start().exit_code(), 75);
        let refused = KafkaError::MetadataFetch(Code::Authentication);
        assert_eq!(Failure::new("read x", &refused, None).after_start().exit_code(), 77);
    }

    #[test]
    fn whoever_was_fenced_needs_a_new_client() {
        for error in [
            KafkaError::MessageConsumptionFatal(Code::FencedInstanceId),
            KafkaError::MessageProduction(Code::ProducerFenced),
            KafkaError::Global(Code::Fatal),
        ] {
            assert_eq!(Failure::new("write", &error, None).next, Next::Renew, "{error}");
        }
    }

    #[test]
    fn words_of_others_are_cut_and_stay_on_their_line() {
        let reason = format!("a\n\u{1b}[31m{}", "x".repeat(1000));
        let error = KafkaError::MetadataFetch(Code::AllBrokersDown);
        let told = Failure::new("reach a:1", &error, trouble(Code::Resolve, &reason).as_ref()).to_string();
        assert!(told.len() < 500 && !told.contains(['\n', '\u{1b}']), "{told}");
    }
}
