"""Refusals as OAuth clients read them (RFC 6749, 5.2)."""

from collections.abc import Mapping

from fastapi import Response

from jitgate.web.errors import json_response

_MICROSOFTS_CODES = {"invalid_client": 7000215, "invalid_tenant": 90002, "unsupported_grant_type": 70003}


def refusal(code: str, why: str, status: int = 400, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal, with the number that Microsoft's clients look for where they do."""
    numbers = [_MICROSOFTS_CODES[code]] if code in _MICROSOFTS_CODES else []
    return json_response({"error": code, "error_description": why, "error_codes": numbers}, status, headers)
