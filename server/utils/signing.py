"""Ed25519 keys (RFC 8032): given as PEM, or derived from another secret."""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def read_key(pem: str) -> Ed25519PrivateKey:
    """A private key in PEM, as `openssl genpkey -algorithm ed25519` writes it. Raises ValueError."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except Exception as error:  # the library has many words for "this is no key"
        raise ValueError("This is not a private key in PEM without a passphrase.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("This is not an Ed25519 key.")
    return key


def derive_key(secret: str, *, purpose: str) -> Ed25519PrivateKey:
    """The same key each time for the same secret and purpose (HKDF, RFC 5869)."""
    seed = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_half(key: Ed25519PrivateKey) -> bytes:
    """32 bytes, which anybody may know."""
    return key.public_key().public_bytes_raw()
