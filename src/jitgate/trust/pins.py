"""Pins: a certificate in few enough characters to be passed on by people."""

import hashlib
import ssl

PREFIX = "sha256:"


def fingerprint(authority: str) -> str:
    """The pin of a certificate (PEM): the SHA-256 of its DER form. Raises ValueError for none."""
    return PREFIX + hashlib.sha256(ssl.PEM_cert_to_DER_cert(authority.strip())).hexdigest()
