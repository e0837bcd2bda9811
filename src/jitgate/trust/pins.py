"""Pins: a certificate in few enough characters to be passed on by people."""

import hashlib
import re
import ssl

PREFIX = "sha256:"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[\w\s+/=]+-----END CERTIFICATE-----", re.ASCII)


def fingerprint(authority: str) -> str:
    """The pin of a certificate (PEM): the SHA-256 of its DER form. Raises ValueError for none."""
    return PREFIX + hashlib.sha256(ssl.PEM_cert_to_DER_cert(authority.strip())).hexdigest()


def fingerprints(authorities: str) -> dict[str, str]:
    """Each certificate (PEM) of several by its pin. Raises ValueError for what is none."""
    return {fingerprint(each): each for each in certificates_in(authorities)}


def certificates_in(text: str) -> list[str]:
    """Each certificate in a text, as PEM."""
    return _CERTIFICATE.findall(text)
