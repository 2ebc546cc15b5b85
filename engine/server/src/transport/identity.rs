//! Who a client is: the subject alternative names of its certificate, and what the configuration allows to each.

use std::{collections::HashMap, fmt};

use x509_parser::{extensions::GeneralName, prelude::FromDer};

/// What an identity may call: one bit for each service, with meanings of the service's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed(pub u32);

impl Allowed {
    /// Whether everything in `other` is allowed.
    pub fn contains(self, other: Allowed) -> bool {
        self.0 & other.0 == other.0
    }

    fn and(self, other: Allowed) -> Allowed {
        Allowed(self.0 | other.0)
    }
}

/// What is allowed to whom.
#[derive(Debug, Default)]
pub struct Identities(HashMap<String, Allowed>);

/// An identity that cannot be one.
#[derive(Debug, PartialEq)]
pub struct IdentityError(String);

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "identity `{}`: must be `dns:<name>`, `uri:<uri>` or `email:<address>`",
            self.0
        )
    }
}

impl std::error::Error for IdentityError {}

impl Identities {
    /// Allows more to `name`: `dns:<name>`, `uri:<uri>` or `email:<address>`.
    pub fn allow(&mut self, name: &str, what: Allowed) -> Result<(), IdentityError> {
        let name = match name.split_once(':') {
            Some(("dns", value)) if !value.is_empty() => format!("dns:{}", value.to_ascii_lowercase()),
            Some(("uri" | "email", value)) if !value.is_empty() => name.to_owned(),
            _ => return Err(IdentityError(name.to_owned())),
        };
        let allowed = self.0.entry(name).or_default();
        *allowed = allowed.and(what);
        Ok(())
    }

    /// What the certificate's names are allowed, together. A certificate that cannot be parsed has no names.
    pub fn of(&self, certificate: &[u8]) -> Allowed {
        let mut allowed = Allowed::default();
        let Ok((_, certificate)) = x509_parser::certificate::X509Certificate::from_der(certificate) else {
            return allowed;
        };
        let Ok(Some(names)) = certificate.subject_alternative_name() else {
            return allowed;
        };
        for name in &names.value.general_names {
            let name = match name {
                GeneralName::DNSName(dns) => format!("dns:{}", dns.to_ascii_lowercase()),
                GeneralName::URI(uri) => format!("uri:{uri}"),
                GeneralName::RFC822Name(email) => format!("email:{email}"),
                _ => continue,
            };
            allowed = allowed.and(self.0.get(&name).copied().unwrap_or_default());
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_known_kind_are_refused() {
        let mut identities = Identities::default();
        for name in ["payments.example", "dns:", "ip:10.0.0.1", ""] {
            assert_eq!(identities.allow(name, Allowed(1)), Err(IdentityError(name.to_owned())));
        }
        assert_eq!(identities.allow("dns:Payments.example", Allowed(1)), Ok(()));
        assert_eq!(identities.allow("dns:payments.example", Allowed(2)), Ok(()));
        assert_eq!(identities.0["dns:payments.example"], Allowed(3));
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        assert_eq!(Identities::default().of(b"no certificate"), Allowed(0));
    }
}
