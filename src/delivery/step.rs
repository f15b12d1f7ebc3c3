//! The steps of a dialogue with a server, by which its failures are judged and told.

use std::fmt;

/// A step of the protocol of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To the server.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The server's first reply.
    Greeting,
    /// EHLO.
    Ehlo,
    /// HELO.
    Helo,
    /// LHLO, of LMTP.
    Lhlo,
    /// STARTTLS.
    StartTls,
    /// A login.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The message is read on this side.
    Reading,
    /// The message goes out.
    MailData,
    /// The reply to the message.
    EndOfData,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
}

impl Step {
    /// Its name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "TLS",
            Self::Greeting => "greeting",
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
            Self::Lhlo => "LHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Reading => "reading the message",
            Self::MailData => "mail data",
            Self::EndOfData => "end of mail data",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
