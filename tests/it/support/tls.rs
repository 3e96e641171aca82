//! TLS in front of a server that speaks none, with a certificate of its own.

use native_tls::{Identity, TlsAcceptor};
use rcgen::CertifiedKey;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Passes on to the server what comes over TLS, until it is dropped.
pub(crate) struct TlsFront {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    /// The certificate that nobody trusts yet, as PEM.
    pub(crate) certificate: String,
    _stop: DropGuard,
}

impl TlsFront {
    /// In front of what listens on this port of 127.0.0.1.
    pub(crate) async fn start(behind: u16) -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        let identity = Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).unwrap();
        let acceptor = tokio_native_tls::TlsAcceptor::from(TlsAcceptor::new(identity).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let serving = async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Whoever does not trust the certificate hangs up.
                    let mut visitor = acceptor.accept(socket).await.ok()?;
                    let mut server = TcpStream::connect(("127.0.0.1", behind)).await.ok()?;
                    copy_bidirectional(&mut visitor, &mut server).await.ok()
                });
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
        Self {
            port,
            certificate,
            _stop: stop.drop_guard(),
        }
    }
}
