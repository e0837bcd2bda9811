"""Errors: a message says where, what was wrong, and what would do."""

import pytest

from jitgate.core.errors import Conflict, Invalid, NotFound, Reason, Refused, TooLarge


def test_a_reason_reads_as_field_fault_and_what_is_allowed() -> None:
    told = str(Reason("TooLong", "ports[0].duration", "4 h is longer than allowed", "at most 3 h"))
    assert told == "ports[0].duration: 4 h is longer than allowed. Allowed: at most 3 h."


def test_a_reason_without_field_or_limit_leaves_them_out() -> None:
    assert str(Reason("Conflict", "", "it has moved on")) == "it has moved on."


def test_what_is_invalid_names_its_field_in_message_and_reason_alike() -> None:
    error = Invalid("number", "0 is not a port", allowed="1 to 65535")
    assert error.message == str(error) == "number: 0 is not a port. Allowed: 1 to 65535."
    assert error.reasons == (Reason("InvalidInput", "number", "0 is not a port", "1 to 65535"),)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Invalid("f", "m"), "InvalidInput"),
        (Invalid("f", "m", code="InvalidInitiateInput"), "InvalidInitiateInput"),
        (TooLarge("f", "m"), "RequestTooLarge"),
        (NotFound("m"), "ResourceNotFound"),
        (NotFound("m", code="PolicyNotFound"), "PolicyNotFound"),
        (Conflict("m"), "Conflict"),
        (Refused([Reason("TooLong", "f", "m")]), "RequestRefused"),
    ],
)
def test_programs_read_a_stable_code(error: Invalid, code: str) -> None:
    assert error.code == code


def test_a_refusal_tells_all_its_reasons() -> None:
    reasons = [Reason("TooLong", "a", "one"), Reason("SourceNotAllowed", "b", "two")]
    refusal = Refused(reasons)
    assert list(refusal.reasons) == reasons
    assert refusal.message == "a: one. b: two."
