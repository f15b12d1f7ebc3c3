//! What a TLS session can be bound to: `tls-exporter` and `tls-server-end-point`.
//!
//! Promises: `tls-exporter` only where the handshake makes it unique by itself, which is TLS 1.3 (RFC
//! 9266 section 4.2). `tls-server-end-point` is the hash of the certificate that was served, by the
//! hash function its signature names, SHA-256 in place of MD5 and SHA-1; a signature that names none
//! (Ed25519) or one we do not have defines no binding (RFC 5929 section 4.1).
//! Refuses to know: SCRAM.

use std::sync::Arc;

use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use rustls::{ConnectionCommon, ProtocolVersion};

use super::certificate::element;
use crate::protocol::scram::EXPORTER_OCTETS;

/// `tls-exporter` of a finished handshake.
pub(super) fn exporter<Side>(tls: &ConnectionCommon<Side>) -> Option<[u8; EXPORTER_OCTETS]> {
    match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => {
            let octets = [0; EXPORTER_OCTETS];
            tls.export_keying_material(octets, EXPORTER_LABEL, Some(&[]))
                .ok()
        }
        _ => None,
    }
}

/// `tls-server-end-point` of a certificate.
pub(super) fn end_point(certificate: &[u8]) -> Option<Arc<[u8]>> {
    let hash = digest(hash_of_signature(certificate)?, certificate);
    Some(Arc::from(hash.as_ref()))
}

/// The hash function of a certificate's signatureAlgorithm, which stands behind its tbsCertificate.
fn hash_of_signature(certificate: &[u8]) -> Option<&'static Algorithm> {
    let (_, whole, _) = element(certificate)?;
    let (_, _, behind_body) = element(whole)?;
    let (_, algorithm, _) = element(behind_body)?;
    let (_, name, parameters) = element(algorithm)?;
    match name {
        RSA_PSS => hash_of_pss(parameters),
        _ => known(SIGNATURES, name),
    }
}

/// RSASSA-PSS names its hash function in its parameters; SHA-1 where it does not (RFC 4055 section 3.1).
fn hash_of_pss(parameters: &[u8]) -> Option<&'static Algorithm> {
    let (_, fields, _) = element(parameters)?;
    match element(fields) {
        Some((PSS_HASH_TAG, hash, _)) => {
            let (_, algorithm, _) = element(hash)?;
            let (_, name, _) = element(algorithm)?;
            known(HASHES, name)
        }
        _ => Some(&SHA256),
    }
}

fn known(table: &'static [(&[u8], &Algorithm)], name: &[u8]) -> Option<&'static Algorithm> {
    let row = table.iter().find(|(known, _)| *known == name)?;
    Some(row.1)
}

const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
const PSS_HASH_TAG: u8 = 0xa0;
const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
/// Object identifiers of signatures, RSA's (1.2.840.113549.1.1) and ECDSA's (1.2.840.10045.4).
const SIGNATURES: &[(&[u8], &Algorithm)] = &[
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", &SHA256), // MD5
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", &SHA256), // SHA-1
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", &SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", &SHA384),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", &SHA512),
    (b"\x2a\x86\x48\xce\x3d\x04\x01", &SHA256), // SHA-1
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", &SHA256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x03", &SHA384),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x04", &SHA512),
];
/// Object identifiers of hash functions.
const HASHES: &[(&[u8], &Algorithm)] = &[
    (b"\x2b\x0e\x03\x02\x1a", &SHA256), // SHA-1
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x01", &SHA256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x02", &SHA384),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x03", &SHA512),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, content.len() as u8], content.as_slice()].concat()
    }

    /// A certificate as far as its signature's algorithm.
    fn certificate(name: &[u8], parameters: &[u8]) -> Vec<u8> {
        let algorithm = der(0x30, &[&der(0x06, &[name]), parameters]);
        der(0x30, &[&der(0x30, &[b"\x02\x01\x07"]), &algorithm])
    }

    #[test]
    fn the_signature_says_which_hash_of_the_certificate_binds() {
        const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01";
        const ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04";
        const SHA2: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02";
        let pss = |hash: &[u8]| {
            let algorithm = der(0x30, &[&der(0x06, &[hash])]);
            der(0x30, &[&der(0xa0, &[&algorithm]), b"\xa2\x03\x02\x01\x20"])
        };
        let rows: &[(&[u8], &[u8], Vec<u8>, Option<&Algorithm>)] = &[
            (RSA, b"\x04", vec![5, 0], Some(&SHA256)),
            (RSA, b"\x05", vec![5, 0], Some(&SHA256)),
            (RSA, b"\x0b", vec![5, 0], Some(&SHA256)),
            (RSA, b"\x0c", vec![5, 0], Some(&SHA384)),
            (RSA, b"\x0d", vec![5, 0], Some(&SHA512)),
            (RSA, b"\x0e", vec![5, 0], None), // SHA-224
            (ECDSA, b"\x01", vec![], Some(&SHA256)),
            (ECDSA, b"\x03\x02", vec![], Some(&SHA256)),
            (ECDSA, b"\x03\x03", vec![], Some(&SHA384)),
            (ECDSA, b"\x03\x04", vec![], Some(&SHA512)),
            (b"", b"\x2b\x65\x70", vec![], None), // Ed25519
            (RSA, b"\x0a", der(0x30, &[]), Some(&SHA256)),
            (RSA, b"\x0a", pss(b"\x2b\x0e\x03\x02\x1a"), Some(&SHA256)),
            (RSA, b"\x0a", pss(&[SHA2, b"\x01"].concat()), Some(&SHA256)),
            (RSA, b"\x0a", pss(&[SHA2, b"\x02"].concat()), Some(&SHA384)),
            (RSA, b"\x0a", pss(&[SHA2, b"\x03"].concat()), Some(&SHA512)),
            (RSA, b"\x0a", pss(&[SHA2, b"\x04"].concat()), None),
            (RSA, b"\x0a", vec![], None),
        ];
        for (arc, last, parameters, want) in rows {
            let whole = certificate(&[*arc, *last].concat(), parameters);
            let want = want.map(|hash| digest(hash, &whole).as_ref().to_vec());
            assert_eq!(end_point(&whole).as_deref(), want.as_deref(), "{last:?}");
            for cut in 0..whole.len() {
                let _ = end_point(&whole[..cut]);
            }
        }
    }
}
