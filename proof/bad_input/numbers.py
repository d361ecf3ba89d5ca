"""Numbers: those that JSON lacks, those that are too large or too fine, and what is none."""

from collections.abc import Iterator

from proof.bad_input.value import Kind, Value

_LITERALS = [
    # not in JSON
    "NaN", "-NaN", "nan", "Infinity", "-Infinity", "inf", "+1", ".5", "5.", "01", "00", "-01", "1e", "1e+",
    "--1", "-",
    "0x10", "0o7", "0b1", "1_000", "1,5", "1 000", "1n", "１", "٥", "½", "²",
    # exponents
    "1e999", "-1e999", "1e-999", "1e400", "1e99999999999999999999", "1e-99999999999999999999", "0e99999999999", "1E2",
    "1e0", "1e3", "1e18", "1e19", "1.7976931348623157e308", "1.7976931348623159e308", "5e-324", "2e-324",
    # zeros, ones and halves
    "0", "-0", "0.0", "-0.0", "-0e5", "1", "1.0", "-1", "0.1", "1.5", "64.5", "0.30000000000000004", "64.0", "1e2",
    # edges of integers
    "100", "101", "-100", "-101", "2147483647", "2147483648", "4294967296", "9007199254740991", "9007199254740993",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "18446744073709551615", "18446744073709551616", "340282366920938463463374607431768211456",
]  # fmt: skip
_DIGITS = {
    "19 nines": "9" * 19,
    "100 digits": "1" + "0" * 99,
    "4,300 digits": "9" * 4300,
    "4,301 digits": "9" * 4301,
    "5,000 digits": "9" * 5000,
    "100,000 digits": "7" * 100_000,
    "a fraction of 10,000 digits": "0." + "3" * 10_000,
    "a fraction of 4,400 zeros": "1." + "0" * 4400,
    "5,000 digits and an exponent down": "9" * 5000 + "e-5000",
    "minus and 5,000 digits": "-" + "9" * 5000,
}
_NOT_NUMBERS = ["true", "false", '"5"', '"64"', '" 5"', '"1e3"', '"NaN"', "True", "FALSE", "yes"]


def numbers() -> Iterator[Value]:
    named = {literal: literal for literal in (*_LITERALS, *_NOT_NUMBERS)} | _DIGITS
    for name, literal in named.items():
        yield Value(
            family="numbers", name=name, kind=Kind.JSON, raw=literal.encode(), text=literal.strip('"')
        )
