//! The certificates of the settings: that of `[tls]` and those of sites.

use std::net::IpAddr;
use std::path::Path;

use crate::config::serving::Serving;
use crate::config::settings::Settings;
use crate::probe;
use crate::transport::certificate;
use crate::transport::tls::ServerTls;

/// Loads every certificate; none where none is set.
///
/// # Errors
/// Which file cannot be used, and why.
pub fn load(settings: &Settings) -> Result<Option<ServerTls>, String> {
    let mut certificates = Vec::new();
    for (chain, key) in files(settings) {
        let loaded = certificate::load(chain, key);
        let loaded = loaded.map_err(|error| probe::why(&error, chain, key))?;
        certificates.push((loaded.chain, loaded.private_key));
    }
    if certificates.is_empty() {
        return Ok(None);
    }
    let tls = ServerTls::new(certificates, settings.tls.min_version);
    tls.map(Some).map_err(|error| error.to_string())
}

/// What a session that came in on `local` uses: its site's own certificate, else that of `[tls]`.
pub fn of_session(settings: &Settings, tls: &ServerTls, local: IpAddr) -> ServerTls {
    let Serving::Site(site) = settings.serving(local) else {
        return tls.showing(0);
    };
    let own = site.certificate.as_deref().zip(site.private_key.as_deref());
    let place = own.and_then(|own| files(settings).position(|files| files == own));
    tls.showing(place.unwrap_or(0))
}

/// Certificates and keys, that of `[tls]` first. It counts only where something wants TLS, and sites only where
/// they are loaded, as for the check.
pub(crate) fn files(settings: &Settings) -> impl Iterator<Item = (&Path, &Path)> {
    let main = [(&settings.tls.certificate, &settings.tls.private_key)];
    let main = main.into_iter().filter(|_| settings.wants_tls());
    let loaded = settings.load_internet_sites;
    let sites = settings.sites.iter().filter(move |_| loaded);
    let sites = sites.map(|site| (&site.certificate, &site.private_key));
    let all = main.chain(sites);
    all.filter_map(|(certificate, key)| Some((certificate.as_deref()?, key.as_deref()?)))
}
