"""TFRecord files of protobuf Examples, read without TensorFlow.

A record is its length (uint64, little-endian), the masked CRC-32C of these 8 bytes, the payload, and the payload's
masked CRC-32C (tensorflow/core/lib/io/record_writer.h). An Example is a map from names to lists of bytes, floats or
integers (tensorflow/core/example/example.proto and feature.proto); here the bytes are read. Both checksums are checked.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import IO, Final

import numpy as np

from vidgan.errors import DataError

_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli, bit-reversed
_MASK_DELTA: Final = 0xA282EAD8
_MAX_RECORD: Final = 1 << 30
_LANES: Final = 1024


def records(file: IO[bytes]) -> Iterator[bytes]:
    """The payloads of an open TFRecord file. Raises DataError at a truncated record or a checksum mismatch."""
    number = 0
    while head := file.read(12):
        if len(head) < 12:
            raise DataError(f"record {number} is truncated")
        length, length_check = struct.unpack("<QI", head)
        if masked_crc32c(head[:8]) != length_check:
            raise DataError(f"record {number}: checksum mismatch of its length")
        if length > _MAX_RECORD:
            raise DataError(f"record {number} has {length} bytes; accepted: at most {_MAX_RECORD}")
        payload, tail = file.read(length), file.read(4)
        if len(payload) < length or len(tail) < 4:
            raise DataError(f"record {number} is truncated")
        if masked_crc32c(payload) != struct.unpack("<I", tail)[0]:
            raise DataError(f"record {number}: checksum mismatch")
        yield payload
        number += 1


def example_bytes(payload: bytes) -> dict[str, memoryview]:
    """Name -> first byte string of the features of an Example that are bytes lists. Raises DataError."""
    features_by_name: dict[str, memoryview] = {}
    try:
        for number, features in _fields(memoryview(payload)):  # Example: features = 1
            if number != 1:
                continue
            for number, entry in _fields(features):  # Features: map<string, Feature> feature = 1
                if number != 1:
                    continue
                parts = dict(_fields(entry))  # key = 1, value = 2
                for kind, values in _fields(parts.get(2, memoryview(b""))):  # Feature: bytes_list = 1
                    first = next((value for place, value in _fields(values) if place == 1), None) if kind == 1 else None
                    if first is not None:
                        features_by_name[bytes(parts.get(1, b"")).decode()] = first
    except (IndexError, struct.error, UnicodeDecodeError, TypeError) as error:
        raise DataError(f"not a protobuf Example ({type(error).__name__}: {error})") from error
    return features_by_name


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of the length-delimited fields of a message; other fields are skipped."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        wire = tag & 7
        if wire == 2:
            length, position = _varint(message, position)
            if position + length > len(message):
                raise IndexError("a field exceeds its message")
            yield tag >> 3, message[position : position + length]
            position += length
        elif wire == 0:
            _, position = _varint(message, position)
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            raise IndexError(f"wire type {wire}")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise IndexError("varint of more than ten bytes")


def masked_crc32c(data: bytes) -> int:
    """TFRecord's checksum: CRC-32C rotated by 15 bits, plus a constant."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of `data`.

    The data is divided into `_LANES` pieces whose checksums advance together in numpy and are then combined. A CRC is
    linear: crc(a + b) is the crc of a followed by len(b) zeros, xor crc(b). A loop over bytes would dominate reading.
    """
    table = _table()
    lane = len(data) // _LANES
    crc = 0xFFFFFFFF
    if lane >= 64:
        head = np.frombuffer(data, np.uint8, lane * _LANES).reshape(_LANES, lane)
        states = np.zeros(_LANES, np.uint32)
        states[0] = crc
        for column in np.ascontiguousarray(head.T):  # (lane, _LANES)
            states = table[(states ^ column) & 0xFF] ^ (states >> 8)
        shift = _shift_tables(lane)
        crc = int(states[0])
        for state in states[1:].tolist():
            crc = (
                shift[0][crc & 255] ^ shift[1][crc >> 8 & 255] ^ shift[2][crc >> 16 & 255] ^ shift[3][crc >> 24]
            ) ^ state
        data = data[lane * _LANES :]
    steps = _table_list()
    for byte in data:
        crc = steps[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(_POLYNOMIAL), values >> 1).astype(np.uint32)
    return values


@lru_cache(maxsize=1)
def _table_list() -> list[int]:
    return [int(value) for value in _table()]


@lru_cache(maxsize=8)
def _shift_tables(length: int) -> list[list[int]]:
    """For each byte position of a checksum and each of its 256 values: the checksum after `length` zero bytes."""
    table = _table()
    states = np.arange(256, dtype=np.uint32)[None, :] << np.array([[0], [8], [16], [24]], np.uint32)  # (4, 256)
    for _ in range(length):
        states = table[states & 0xFF] ^ (states >> 8)  # (4, 256)
    return [[int(value) for value in row] for row in states]
