//! Where records go: the collector of a product.

use crate::decode::{Spanned, model};
use crate::types::{Address, HostName, Name};

model! {
    /// Where the records of security events go besides the device itself.
    pub struct Logging {
        /// The collector; it switches the layer `forward` on.
        collector: Spanned<Collector>,
    }
}

model! {
    /// A collector of records: syslog over TLS (RFC 5425), where both sides show a certificate.
    pub struct Collector {
        /// Its name, as its certificate must say it (subjectAltName).
        name: Spanned<HostName>,
        /// Its address.
        address: Spanned<Address>,
        /// The service whose conduit leads to it.
        service: Spanned<Name>,
        /// The device's name, as its certificate says it; default: its host name.
        local: Option<Spanned<HostName>> = None,
    }
}
