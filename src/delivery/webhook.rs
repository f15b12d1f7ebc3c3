//! A message for a web server, `[webhook:NAME]`: one POST on a connection of its own.
//!
//! | the answer | then |
//! | --- | --- |
//! | 2yz | delivered; the body counts for nothing |
//! | 4yz but 408 and 429 | failed, with the status and the first words of the body |
//! | 3yz | deferred: redirections are not followed |
//! | every other one, none, a connection that breaks | deferred |
//! | no address, no connection, no TLS, a token that cannot be read | deferred, and the lane rests |
//!
//! Promises: a token goes out only over TLS with a server whose certificate was verified, or to this
//! machine; it is in no error and no log line. Every address of the host is tried. What a client said
//! cannot become a field or a member of its own. A raw message is read while it is sent; where it is damaged
//! the body stays cut. Limits: `timeout` for
//! all of it; of a JSON document [`DIGEST_MAX_OCTETS`] of the message are looked at.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use zeroize::Zeroizing;

use super::content::Source;
use super::handler::{Parcel, first_words};
use super::login::read_secret;
use super::outcome::Verdict;
use super::smarthost::ADDRESSES_MAX;
use crate::config::handlers::{Format, Webhook};
use crate::config::smarthosts::LoginSecret;
use crate::events;
use crate::mail::{Reason, date};
use crate::protocol::http::{RequestHead, ResponseReader};
use crate::protocol::{json, mime};
use crate::sys::{clock, lookup, machine};
use crate::transport::client::{Brake, ClientStream, Trust};
use crate::transport::roots;

/// Octets of a message that a JSON document is made from.
pub const DIGEST_MAX_OCTETS: usize = 1024 * 1024;
/// How long a step may go on once the service ends.
const STEP_GRACE: Duration = Duration::from_secs(2);
/// The same for the answer to a whole request.
const ANSWER_GRACE: Duration = Duration::from_secs(10);
/// How long the body of a refusal is waited for, and an answer before the request was gone.
const WORDS_MAX: Duration = Duration::from_secs(5);
/// The longest attempt to connect to one address.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// Posts a message.
///
/// # Errors
/// The server cannot be used: nobody is there, or nobody who may be told the token.
pub(super) fn post(
    webhook: &Webhook,
    parcel: &Parcel<'_>,
    brake: &Arc<Brake>,
) -> Result<Verdict, String> {
    let call = Call {
        webhook,
        brake,
        until: clock::monotonic() + webhook.timeout,
    };
    let token = call.token()?;
    let document = match webhook.format {
        Format::Raw => None,
        Format::Json => match document(parcel) {
            Ok(document) => Some(document),
            Err(error) => return Ok(Verdict::PutOff(Reason::own("4.3.0", error))),
        },
    };
    let body = match &document {
        Some(document) => Body::Document(document),
        None => Body::Content(parcel.content),
    };
    let head = head(
        webhook,
        parcel,
        &body,
        token.as_ref().map(|token| token.as_str()),
    );
    let mut stream = call.connect()?;
    let sent = call.send(&mut stream, &head, &body);
    if let Err(Sending::Content(error)) = sent {
        // A body that ends early is no whole message to the server.
        return Ok(Verdict::PutOff(Reason::own("4.3.0", error)));
    }
    let answer = call.hear(&mut stream, sent);
    let id = parcel.stored.id;
    if let Ok((status, body)) = &answer {
        events::handlers::webhook_answered(id, &webhook.name, *status, body);
    }
    Ok(verdict(webhook, answer))
}

/// Posts a document that is no message, such as an alarm.
///
/// # Errors
/// The server was not told, or did not take it; why.
pub fn tell(webhook: &Webhook, document: &str, brake: &Arc<Brake>) -> Result<(), String> {
    let name = &webhook.name;
    let call = Call {
        webhook,
        brake,
        until: clock::monotonic() + webhook.timeout,
    };
    let said = call.token().and_then(|token| {
        let token = token.as_ref().map(|token| token.as_str());
        let body = Body::Document(document);
        let mut head = begin(webhook, &body);
        head.field("Content-Type", "application/json");
        let mut stream = call.connect()?;
        let sent = call.send(&mut stream, &head.finish(token), &body);
        call.hear(&mut stream, sent)
    });
    match said {
        Ok((200..=299, _)) => Ok(()),
        Ok((status, body)) => {
            let words = first_words(&body);
            Err(format!("webhook {name}: it answered {status}{words}"))
        }
        Err(why) => Err(format!("webhook {name}: {why}")),
    }
}

/// What is posted.
enum Body<'a> {
    /// A JSON document.
    Document(&'a str),
    /// A message as it came.
    Content(Source<'a>),
}

impl Body<'_> {
    fn octets(&self) -> u64 {
        match self {
            Self::Document(document) => document.len() as u64,
            Self::Content(content) => content.octets(),
        }
    }
}

/// One request.
struct Call<'a> {
    webhook: &'a Webhook,
    brake: &'a Arc<Brake>,
    until: Instant,
}

/// Why a request was not sent whole.
enum Sending {
    /// The connection; perhaps there is an answer all the same.
    Connection(io::Error),
    /// The content cannot be read.
    Content(io::Error),
}

impl From<io::Error> for Sending {
    fn from(error: io::Error) -> Self {
        Self::Content(error)
    }
}

impl Call<'_> {
    fn left(&self) -> Duration {
        self.until.saturating_duration_since(clock::monotonic())
    }

    fn token(&self) -> Result<Option<Zeroizing<String>>, String> {
        let Some(path) = &self.webhook.token_file else {
            return Ok(None);
        };
        let url = &self.webhook.url;
        if !url.tls && !url.is_loopback() {
            return Err("a token goes out only over TLS, or to this machine".to_owned());
        }
        read_secret(&LoginSecret::Token(path.clone()))
            .map(Some)
            .map_err(|reason| format!("its token cannot be used: {reason}"))
    }

    /// A connection, with TLS where it is wanted; the first address that answers counts.
    fn connect(&self) -> Result<ClientStream, String> {
        let url = &self.webhook.url;
        let addresses = lookup::addresses(&url.host, url.port, ADDRESSES_MAX);
        let addresses = addresses.map_err(|error| machine::reason(&error))?;
        let mut why = String::new();
        for address in addresses {
            let left = self.left();
            if left.is_zero() || self.brake.is_pulled() {
                return Err(format!("{address}: timed out"));
            }
            let left = left.min(CONNECT_MAX);
            match ClientStream::connect(address, left).and_then(|stream| self.secured(stream)) {
                Ok(stream) => return Ok(stream),
                Err(error) => why = format!("{address}: {}", machine::reason(&error)),
            }
        }
        Err(why)
    }

    fn secured(&self, mut stream: ClientStream) -> io::Result<ClientStream> {
        let url = &self.webhook.url;
        stream.obey(self.brake);
        stream.begin_step(self.left(), STEP_GRACE);
        if !url.tls {
            return Ok(stream);
        }
        let roots = roots::load(self.webhook.ca_file.as_deref()).map_err(io::Error::other)?;
        stream.start_tls(&url.host, Trust::Roots(roots))
    }

    fn send(&self, stream: &mut ClientStream, head: &str, body: &Body<'_>) -> Result<(), Sending> {
        stream.begin_step(self.left(), STEP_GRACE);
        let mut write = |octets: &[u8]| stream.write_all(octets).map_err(Sending::Connection);
        write(head.as_bytes())?;
        // Damage shows behind the last piece, so none goes out before it is known not to be the last.
        let mut held = Vec::new();
        match body {
            Body::Document(document) => held.extend_from_slice(document.as_bytes()),
            Body::Content(content) => content.each(|piece| {
                write(&held)?;
                held.clear();
                held.extend_from_slice(piece);
                Ok::<(), Sending>(())
            })?,
        }
        write(&held)?;
        stream.flush().map_err(Sending::Connection)
    }

    /// The status, and the beginning of the body where it counts.
    fn hear(
        &self,
        stream: &mut ClientStream,
        sent: Result<(), Sending>,
    ) -> Result<(u16, Vec<u8>), String> {
        let mut trouble = None;
        match sent {
            Ok(()) => stream.begin_step(self.left(), ANSWER_GRACE),
            Err(Sending::Connection(error) | Sending::Content(error)) => {
                // A server may refuse before it has everything.
                stream.begin_step(WORDS_MAX, STEP_GRACE);
                trouble = Some(error);
            }
        }
        let mut reader = ResponseReader::default();
        let mut piece = [0; 4096];
        loop {
            let before = reader.status();
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => {
                    let octets = piece.get(..count).unwrap_or_default();
                    reader.push(octets).map_err(|error| error.to_string())?;
                }
                Err(error) => {
                    trouble.get_or_insert(error);
                    break;
                }
            }
            match reader.status() {
                Some(200..=299) => break,
                Some(_) if reader.is_complete() => break,
                Some(_) if before.is_none() => {
                    stream.begin_step(self.left().min(WORDS_MAX), STEP_GRACE);
                }
                Some(_) | None => {}
            }
        }
        match (reader.end(), trouble) {
            (Ok(status), _) => Ok((status, reader.body())),
            (Err(_), Some(error)) => Err(machine::reason(&error)),
            (Err(error), None) => Err(error.to_string()),
        }
    }
}

fn verdict(webhook: &Webhook, answer: Result<(u16, Vec<u8>), String>) -> Verdict {
    let name = &webhook.name;
    let (status, body) = match answer {
        Ok(answer) => answer,
        Err(why) => {
            let words = format!("webhook {name}: {why}");
            return Verdict::PutOff(Reason::own("4.4.2", words));
        }
    };
    let words = format!("webhook {name} answered {status}");
    match status {
        200..=299 => Verdict::Taken(Reason::own("2.0.0", words)),
        300..=399 => Verdict::PutOff(Reason::own(
            "4.4.0",
            format!("{words}: redirections are not followed; url has to name the new address"),
        )),
        400..=499 if !matches!(status, 408 | 429) => {
            let words = format!("{words}{}", first_words(&body));
            Verdict::Refused(Reason::own("5.3.0", words))
        }
        _ => {
            let words = format!("{words}{}", first_words(&body));
            Verdict::PutOff(Reason::own("4.3.0", words))
        }
    }
}

/// What every request begins with.
fn begin(webhook: &Webhook, body: &Body<'_>) -> RequestHead {
    let url = &webhook.url;
    let mut head = RequestHead::post(&url.target, &url.authority, body.octets());
    head.field(
        "User-Agent",
        concat!("gatepost/", env!("CARGO_PKG_VERSION")),
    );
    head
}

/// The head for a message.
fn head(
    webhook: &Webhook,
    parcel: &Parcel<'_>,
    body: &Body<'_>,
    token: Option<&str>,
) -> Zeroizing<String> {
    let mut head = begin(webhook, body);
    head.field("X-Gatepost-Id", &parcel.stored.id.to_string());
    if let Body::Document(_) = body {
        head.field("Content-Type", "application/json");
        return head.finish(token);
    }
    let envelope = &parcel.stored.envelope;
    head.field("Content-Type", "message/rfc822");
    head.field("X-Gatepost-Received", &received(parcel));
    head.field("X-Gatepost-From", &envelope.reverse_path.to_string());
    for to in &parcel.to {
        head.field("X-Gatepost-To", &to.to_string());
    }
    head.field("X-Gatepost-Client", &envelope.client.to_string());
    if let Some(login) = &envelope.login {
        head.field("X-Gatepost-Login", login);
    }
    head.finish(token)
}

fn received(parcel: &Parcel<'_>) -> String {
    let since = Duration::from_secs(parcel.stored.received);
    let time = SystemTime::UNIX_EPOCH.checked_add(since);
    date::rfc3339(time.unwrap_or(SystemTime::UNIX_EPOCH))
}

/// The JSON document of a message.
fn document(parcel: &Parcel<'_>) -> io::Result<String> {
    let digest = mime::digest(&parcel.content.first(DIGEST_MAX_OCTETS)?);
    let envelope = &parcel.stored.envelope;
    let to: Vec<String> = parcel
        .to
        .iter()
        .map(|to| json::quoted(&to.to_string()))
        .collect();
    let file = parcel.file.as_ref().map(|file| file.to_string_lossy());
    Ok(format!(
        "{{\"id\":{id},\"received\":{received},\"size\":{size},\
         \"envelope\":{{\"from\":{from},\"to\":[{to}],\"client\":{client},\"login\":{login}}},\
         \"message_id\":{message_id},\"subject\":{subject},\"text\":{text},\"html\":{html},\
         \"message\":{file}}}\n",
        id = json::quoted(&parcel.stored.id.to_string()),
        received = json::quoted(&received(parcel)),
        size = parcel.content.octets(),
        from = json::quoted(&envelope.reverse_path.to_string()),
        to = to.join(","),
        client = json::quoted(&envelope.client.to_string()),
        login = json::maybe(envelope.login.as_deref()),
        message_id = json::maybe(digest.message_id.as_deref()),
        subject = json::maybe(digest.subject.as_deref()),
        text = json::maybe(digest.text.as_deref()),
        html = json::maybe(digest.html.as_deref()),
        file = json::maybe(file.as_deref()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::handlers::Url;

    #[test]
    fn every_answer_has_its_verdict() {
        let webhook = Webhook {
            name: "phone".to_owned(),
            url: Url::parse("http://localhost/").unwrap(),
            token_file: None,
            format: Format::Json,
            timeout: Duration::from_secs(1),
            ca_file: None,
        };
        let name = |answer| match verdict(&webhook, answer) {
            Verdict::Taken(_) => "taken".to_owned(),
            Verdict::Refused(reason) => format!("failed {}", reason.words()),
            Verdict::PutOff(_) => "deferred".to_owned(),
        };
        for (status, want) in [
            (200, "taken"),
            (201, "taken"),
            (299, "taken"),
            (301, "deferred"),
            (304, "deferred"),
            (400, "failed webhook phone answered 400: no such thing"),
            (401, "failed webhook phone answered 401: no such thing"),
            (408, "deferred"),
            (425, "failed webhook phone answered 425: no such thing"),
            (429, "deferred"),
            (499, "failed webhook phone answered 499: no such thing"),
            (500, "deferred"),
            (101, "deferred"),
        ] {
            let answer = Ok((status, b"\r\n no such thing\r\nx".to_vec()));
            assert_eq!(name(answer), want, "{status}");
        }
        assert_eq!(name(Err("x".to_owned())), "deferred");
    }
}
