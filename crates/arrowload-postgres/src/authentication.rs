//! Logging in: whatever the server asks for, up to its `AuthenticationOk`.

use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use crate::config::{ChannelBinding, Config, Host};
use crate::error::{Error, Result, ServerError};
use crate::messages::{Channel, protocol, unexpected};

/// How a login ended that did not succeed, and whether the server had asked for anything before.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    pub(crate) asked: bool,
}

/// Answer the server until it lets us in.
pub(crate) fn log_in(channel: &mut Channel, config: &Config, host: &Host) -> std::result::Result<(), Refusal> {
    let mut login = Login { channel, config, host, asked: false, bound: false };
    login.run().map_err(|error| Refusal { error, asked: login.asked })
}

struct Login<'a> {
    channel: &'a mut Channel,
    config: &'a Config,
    host: &'a Host,
    asked: bool,
    /// Whether the exchange was bound to the TLS connection.
    bound: bool,
}

impl Login<'_> {
    fn run(&mut self) -> Result<()> {
        loop {
            let message = self.channel.next_message()?;
            match message {
                Message::AuthenticationOk => return self.check_binding(),
                Message::ErrorResponse(body) => {
                    return Err(Error::Server(Box::new(ServerError::parse(body.fields()).map_err(protocol)?)));
                }
                _ => self.asked = true,
            }
            match message {
                Message::AuthenticationSasl(body) => self.scram(&body)?,
                Message::AuthenticationCleartextPassword => {
                    self.check_binding()?;
                    let password = self.password()?;
                    self.answer(|write| frontend::password_message(password.as_bytes(), write))?;
                }
                Message::AuthenticationMd5Password(body) => {
                    self.check_binding()?;
                    let hash = md5_hash(self.config.user.as_bytes(), self.password()?.as_bytes(), body.salt());
                    self.answer(|write| frontend::password_message(hash.as_bytes(), write))?;
                }
                Message::AuthenticationGss | Message::AuthenticationKerberosV5 | Message::AuthenticationSspi => {
                    return Err(refused(
                        "the server asks for GSSAPI or Kerberos, which needs libpq; use `driver: adbc`",
                    ));
                }
                _ => return Err(unexpected("during the login")),
            }
        }
    }

    /// `channel_binding=require` lets nothing pass that was not bound.
    fn check_binding(&self) -> Result<()> {
        if self.config.channel_binding == ChannelBinding::Require && !self.bound {
            Err(refused("`channel_binding` is `require`, and the server logs us in without channel binding"))
        } else {
            Ok(())
        }
    }

    fn password(&self) -> Result<String> {
        match &self.host.password {
            Ok(Some(password)) => Ok(password.0.clone()),
            Ok(None) => Err(refused("the server asks for a password, and no password was supplied")),
            Err(reason) => Err(Error::Authentication(format!("the server asks for a password; {reason}"))),
        }
    }

    fn answer(&mut self, encode: impl FnOnce(&mut bytes::BytesMut) -> std::io::Result<()>) -> Result<()> {
        encode(&mut self.channel.write).map_err(|_| refused("the password has a NUL in it"))?;
        self.channel.send()
    }

    fn scram(&mut self, body: &AuthenticationSaslBody) -> Result<()> {
        let offered: Vec<String> = body.mechanisms().map(|name| Ok(name.to_owned())).collect().map_err(protocol)?;
        let (mechanism, binding) = self.mechanism(&offered)?;
        let mut scram = ScramSha256::new(self.password()?.as_bytes(), binding);
        self.answer(|write| frontend::sasl_initial_response(mechanism, scram.message(), write))?;
        let Message::AuthenticationSaslContinue(first) = self.sasl_message()? else {
            return Err(unexpected("within SCRAM"));
        };
        scram.update(first.data()).map_err(|error| Error::Authentication(format!("SCRAM failed: {error}")))?;
        self.answer(|write| frontend::sasl_response(scram.message(), write))?;
        let Message::AuthenticationSaslFinal(last) = self.sasl_message()? else {
            return Err(unexpected("within SCRAM"));
        };
        scram
            .finish(last.data())
            .map_err(|error| Error::Authentication(format!("the server does not know the password itself: {error}")))
    }

    fn sasl_message(&mut self) -> Result<Message> {
        match self.channel.next_message()? {
            Message::ErrorResponse(body) => {
                Err(Error::Server(Box::new(ServerError::parse(body.fields()).map_err(protocol)?)))
            }
            other => Ok(other),
        }
    }

    fn mechanism(&mut self, offered: &[String]) -> Result<(&'static str, sasl::ChannelBinding)> {
        let offers = |name: &str| offered.iter().any(|offer| offer == name);
        let end_point = match self.config.channel_binding {
            ChannelBinding::Disable => None,
            _ => self.channel.transport.end_point(),
        };
        match end_point {
            Some(hash) if offers(SCRAM_SHA_256_PLUS) => {
                self.bound = true;
                Ok((SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(hash)))
            }
            _ if !offers(SCRAM_SHA_256) => {
                Err(refused("the server offers no way of logging in that is known; use `driver: adbc`"))
            }
            // The server notices when someone between us took its offer away.
            Some(_) => self.check_binding().map(|()| (SCRAM_SHA_256, sasl::ChannelBinding::unrequested())),
            None => self.check_binding().map(|()| (SCRAM_SHA_256, sasl::ChannelBinding::unsupported())),
        }
    }
}

fn refused(sentence: &str) -> Error {
    Error::Authentication(sentence.to_owned())
}
