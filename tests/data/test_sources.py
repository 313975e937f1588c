"""The bytes of a file: encodings, what one pass proves, gzip, and what is no table at all."""
# ruff: noqa: RUF001 - letters of many scripts are the point

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import random
import re
import socket
import tarfile
import threading
import zipfile
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import data
from studio.data.sources import encoding, unpack
from studio.data.sources.facts import Facts, Scan
from studio.data.sources.source import BAD_BYTES, WORKING_FILES, glance, survey
from studio.errors import DataError, StoreError

LANGUAGES = {
    "French": ("Où est la gare, s'il vous plaît ? À côté de l'église, très près d'ici.", ["cp1252"]),
    "English": ("The café's “naïve” façade — it’s a cliché, really… costs £5.", ["cp1252"]),
    "Spanish": ("¿Dónde está la estación? El niño comió y después se marchó mañana.", ["cp1252"]),
    "Italian": ("Perché la città è così bella? Non c'è più tempo, però verrà martedì.", ["cp1252"]),
    "German": ("Die Straße führt über die Brücke; schöne Grüße aus München.", ["cp1252"]),
    "Swedish": ("Jag älskar att åka tåg på våren när det är kallt och öppet i Göteborg.", ["cp1252"]),
    "Polish": ("Proszę powiedzieć, gdzie jest najbliższa apteka, ponieważ źle się czuję.", ["cp1250", "iso8859-2"]),
    "Czech": ("Kde je nejbližší nádraží a kolik stojí lístek? Příliš žluťoučký kůň.", ["cp1250"]),
    "Hungarian": ("Hol van a legközelebbi gyógyszertár? Őszintén köszönöm, hölgyem.", ["cp1250"]),
    "Russian": ("Где находится ближайшая аптека? Пожалуйста, помогите мне.", ["cp1251", "koi8-r", "cp866", "iso8859-5"]),
    "Greek": ("Πού είναι το κοντινότερο φαρμακείο; Παρακαλώ βοηθήστε με.", ["cp1253"]),
    "Turkish": ("En yakın eczane nerede? Lütfen bana yardım edin, çünkü iyi hissetmiyorum.", ["cp1254"]),
    "Japanese": ("これは日本語の文章です。東京の天気はどうですか。カタカナも使います。", ["cp932", "euc_jis_2004"]),
    "Chinese": ("这是一个中文句子，我们在北京学习。请问最近的药店在哪里？", ["gb18030"]),
    "Taiwanese": ("這是一個中文句子，我們在台北學習。請問最近的藥局在哪裡？", ["big5hkscs"]),
    "Korean": ("이것은 한국어 문장입니다. 가장 가까운 약국이 어디에 있습니까?", ["cp949"]),
}


def surveyed(folder, content: bytes, name="x.csv", **options):
    path = folder / "file.dat"
    path.write_bytes(content)
    return survey(path, name, folder, **options)


@pytest.mark.parametrize(("language", "code"), [(name, code) for name, (_, codes) in LANGUAGES.items() for code in codes])
def test_the_encoding_is_found(tmp_path, language, code):
    text = LANGUAGES[language][0]
    rows = "".join(f'"Explain sentence {n} in plain words","{text}"\n' for n in range(12))
    source = surveyed(tmp_path, ("prompt,completion\n" + rows).encode(code))
    assert b"".join(source.chunks()).decode() == "prompt,completion\n" + rows
    assert source.re_encoded
    assert source.encoding_name


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize(
    "text", ["prompt,completion\nplain,text\n", "вопрос,ответ\nда,нет\n", '[{"質問": "東京の天気", "b": "はい"}]\n' * 5]
)
def test_unicode_with_and_without_its_mark(tmp_path, code, text):
    source = surveyed(tmp_path, text.encode(code))
    assert b"".join(source.chunks()).decode() == text
    assert source.re_encoded is not code.startswith("utf-8")
    assert source.clean
    assert (tmp_path / WORKING_FILES[1]).exists() is source.re_encoded


def test_a_person_may_choose_the_encoding(tmp_path):
    content = "prompt,completion\nprčs,hōtel\n".encode("cp1257")
    assert "prčs" in b"".join(surveyed(tmp_path, content, encoding="cp1257").chunks()).decode()
    assert "près" not in b"".join(surveyed(tmp_path, content, encoding="Windows-1251").chunks()).decode()
    for meant, codec in (
        ("ansi", "cp1252"),
        ("Shift_JIS", "cp932"),
        ("GBK", "gb18030"),
        ("EUC-KR", "cp949"),
        ("UTF8", "utf-8"),
    ):
        assert encoding.named(meant) == codec
    for name in ("zip", "rot13", "base64_codec", "unicode_escape", "idna", "punycode", "../x", "\0", "nonsense" * 50):
        with pytest.raises(DataError, match="not an encoding") as refused:
            surveyed(tmp_path, content, encoding=name)
        assert "cp1252" in refused.value.next_step


def test_every_offered_encoding_can_be_read(tmp_path):
    for code in encoding.ENCODINGS:
        text = "prompt,completion\nplain,text\n"
        assert b"".join(surveyed(tmp_path, text.encode(code), encoding=code).chunks()).decode() == text, code


def test_one_wrong_byte_marks_its_place_only(tmp_path):
    good = "Frage über Öl,Antwort\n".encode() * 8
    source = surveyed(tmp_path, b"prompt,completion\n" + good + b"caf\xe9,x\n" + good)
    assert (source.encoding, source.clean) == ("utf-8", False)
    assert b"".join(source.chunks()) == b"prompt,completion\n" + good + b"caf" + BAD_BYTES + b",x\n" + good
    assert source.facts.stand_ins


def test_our_own_signs_in_a_text_do_no_harm(desk):
    content = "prompt,completion\na,b\nc\ufdd0d,e\nf,\ufdd2g\nh,\ufdd3\ni,j\ufdd4\nk,l\n"
    found = desk(content)
    assert [(line, answer) for line, _, answer in found.rows] == [(2, "b"), (7, "l")]
    assert found.codes["bad_encoding"] == 4


def test_a_handful_of_odd_signs_in_a_short_file_is_text(desk):
    assert desk("prompt,completion\nQ,A\x7f\n").rows == [(2, "Q", "A\x7f")]
    assert desk("prompt,completion\nQ\x02,A\x03\n").inspection.rows_total == 1
    assert desk("prompt,completion\nQ,A\ufffd\n").inspection.rows_total == 1


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"a",
                b"\n",
                b"\r\n",
                b"\r",
                b" ",
                b"\t",
                "é".encode(),
                "日".encode(),
                "😀".encode(),
                b"\xc3",
                b"\0",
                "\ufdd2".encode(),
                b"\x1f",
                b"x" * 70,
            ]
        ),
        max_size=40,
    ),
    st.integers(1, 9),
)
def test_facts_are_what_the_bytes_say(parts, size):
    content = b"".join(parts)
    scan = Scan()
    for start in range(0, len(content), size):
        scan.add(content[start : start + size])
    try:
        text, utf8 = content.decode(), True
    except UnicodeDecodeError:
        text, utf8 = "", False
    lines = content.split(b"\n")
    ended = lines if lines[-1] else lines[:-1]
    returns = content.count(b"\r")
    carriage = "none" if not returns else "crlf" if returns == content.count(b"\r\n") else "other"
    found = scan.facts()
    assert found == Facts(
        lines=len(ended),
        longest=max(map(len, ended), default=0),
        blank=found.blank,
        carriage=carriage,
        nul=b"\0" in content,
        units=b"\x1f" in content or b"\x1e" in content,
        ascii=content.isascii(),
        utf8=utf8,
        stand_ins=found.stand_ins,
    )
    if utf8:
        assert found.stand_ins == bool(re.search("[\ufdd0-\ufdd4]", text))
    if any(not line.strip() for line in content.split(b"\n")[:-1]):
        assert found.blank
    elif not any(not line.strip() for line in ended):
        assert not found.blank


def test_facts_over_real_blocks(tmp_path):
    line = '{"prompt": "Grüße", "completion": "東京"}\r\n'
    content = (line * 300_000).encode()
    source = surveyed(tmp_path, content)
    assert source.path.name == "file.dat"
    assert source.fingerprint == hashlib.sha256(content).hexdigest()
    assert source.facts == Facts(300_000, len(line.encode()) - 1, False, "crlf", False, False, False, True, False)
    half = surveyed(tmp_path, content[:-1] + b"\xff")
    assert not half.clean


def test_gzip_of_anything(tmp_path, desk):
    text = "prompt,completion\n" + "".join(f"q{n},a{n}\n" for n in range(40))
    packed = gzip.compress(text.encode())
    for content in (packed, gzip.compress(text[:90].encode()) + gzip.compress(text[90:].encode()), packed + b"\0" * 100):
        found = desk(content, "x.csv")
        assert found.inspection.rows_usable == 40
        assert found.inspection.fingerprint == hashlib.sha256(content).hexdigest()
    assert desk(gzip.compress(text.encode("utf-16")), "x.gz").inspection.rows_usable == 40
    source = surveyed(tmp_path, packed)
    assert (source.packed, source.path.name, source.bytes, source.file_bytes) == (
        "gzip",
        "unpacked.dat",
        len(text),
        len(packed),
    )
    assert glance(tmp_path / "file.dat", "x").sample == text


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(b"prompt,completion\n" * 100)[:-20], "cut off"),
        (gzip.compress(random.Random(0).randbytes(9000))[:4000], "cut off"),
        (gzip.compress(b"x" * 90)[:-8] + b"\1" * 8, "damaged"),
        (b"\x1f\x8b\x08\x00rest and more of it", "damaged"),
        (gzip.compress(b"a,b\n1,2\n") + b"trailing rubbish", "damaged"),
        (gzip.compress(gzip.compress(b"a,b\n1,2\n")), "twice"),
    ],
    ids=["cut off", "noise cut off", "wrong end", "no gzip behind", "rubbish behind", "twice"],
)
def test_damaged_gzip_is_refused(tmp_path, content, what):
    with pytest.raises(data.RefusedFile, match=what) as refused:
        surveyed(tmp_path, content)
    assert refused.value.code == "compressed_file"
    assert refused.value.next_step


def test_a_bomb_stops_early(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "HARMLESS", 4 << 20)
    content = gzip.compress(b"\n" * (64 << 20))
    with pytest.raises(data.RefusedFile, match="grows to more than") as refused:
        surveyed(tmp_path, content)
    assert refused.value.code == "compressed_bomb"
    assert (tmp_path / "unpacked.dat").stat().st_size <= 16 << 20
    monkeypatch.setattr(unpack, "_RESERVE", 1 << 60)
    with pytest.raises(StoreError, match="less than 1 GB"):
        surveyed(tmp_path, gzip.compress(b"a,b\n"))


def archive(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("x.csv"))
    else:
        inside = {
            "xlsx": ["[Content_Types].xml", "xl/workbook.xml"],
            "docx": ["[Content_Types].xml", "word/document.xml"],
            "ods": ["mimetype"],
            "zip": ["rows.csv"],
            "numbers": ["Index/Document.iwa"],
        }[kind]
        with zipfile.ZipFile(buffer, "w") as packed:
            for name in inside:
                packed.writestr(name, "application/vnd.oasis.opendocument.spreadsheet" if name == "mimetype" else "x" * 50)
    return buffer.getvalue()


def feather() -> bytes:
    buffer = io.BytesIO()
    pyarrow.feather.write_feather(pa.table({"a": [1]}), buffer, compression="uncompressed")
    return buffer.getvalue()


REFUSED = {
    "workbook": (archive("xlsx"), "not_text_excel", "CSV UTF-8"),
    "spreadsheet": (archive("ods"), "not_text_excel", "LibreOffice"),
    "numbers": (archive("numbers"), "not_text_excel", "Numbers"),
    "word": (archive("docx"), "not_text_word", "spreadsheet"),
    "zip": (archive("zip"), "compressed_file", "Unpack"),
    "tar": (archive("tar"), "compressed_file", "Unpack"),
    "packed tar": (gzip.compress(archive("tar")), "compressed_file", "Unpack"),
    "packed workbook": (gzip.compress(archive("xlsx")), "not_text_excel", "CSV UTF-8"),
    "old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "Workbook".encode("utf-16-le") * 9, "not_text_excel", "CSV UTF-8"),
    "old word": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"), "not_text_word", "spreadsheet"),
    "pdf": (b"%PDF-1.7 \xff", "not_text_pdf", "spreadsheet"),
    "rtf": (b"{\\rtf1\\ansi hello}", "not_text", "spreadsheet"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "compressed_file", "Unpack"),
    "rar": (b"Rar!\x1a\x07\x00", "compressed_file", "Unpack"),
    "bz2": (b"BZh91AY&SYxx", "compressed_file", "Unpack"),
    "xz": (b"\xfd7zXZ\x00\x00", "compressed_file", "Unpack"),
    "zst": (b"\x28\xb5\x2f\xfd\x04", "compressed_file", "Unpack"),
    "sqlite": (b"SQLite format 3\x00" + b"\0" * 80, "not_text", "Export"),
    "feather": (feather(), "not_text", "Parquet"),
    "pickle": (b"\x80\x04\x95\x10\x00\x00\x00", "not_text", "Do not open"),
    "numpy": (b"\x93NUMPY\x01\x00", "not_text", "JSONL"),
    "png": (b"\x89PNG\r\n\x1a\n", "not_text", "Choose"),
    "jpeg": (b"\xff\xd8\xff\xe0", "not_text", "Choose"),
    "mp3": (b"ID3\x04\x00\x00", "not_text", "Choose"),
    "wav": (b"RIFF\x24\x08\x00\x00WAVEfmt ", "not_text", "Choose"),
    "mp4": (b"\x00\x00\x00\x18ftypmp42", "not_text", "Choose"),
    "html": (b"\n <!DOCTYPE html><html><body>Sign in</body></html>", "not_text_html", "browser"),
    "html with a note": (b"<!-- saved --><html><body>x</body></html>", "not_text_html", "browser"),
    "xml": (b'<?xml version="1.0"?><rows/>', "not_text", "Export"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "not_text_pointer", "git lfs pull"),
    "random": (random.Random(1).randbytes(5000), "not_text", "Choose"),
    "zeros": (bytes(4000), "not_text", "Choose"),
    "blank": ("\ufeff \t\r\n\n".encode(), "empty_file", "three rows"),
    "blank utf-16": ("  \n".encode("utf-16"), "empty_file", "three rows"),
    "empty": (b"", "empty_file", "three rows"),
    "packed nothing": (gzip.compress(b""), "empty_file", "three rows"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", ["data.csv", "data.jsonl", "data"])
def test_what_is_no_table_says_what_it_is(tmp_path, kind, name):
    content, code, step = REFUSED[kind]
    for read in (lambda: surveyed(tmp_path, content, name), lambda: glance(tmp_path / "file.dat", name)):
        with pytest.raises(data.RefusedFile) as refused:
            read()
        assert refused.value.code == code
        assert refused.value.where == name
        assert step in refused.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        "BZh is a word,b\n1,2\n",
        "ID3,tag\n1,2\n",
        "PDF,%PDF\n1,2\n",
        "ORC,elf\n1,2\n",
        "RIFF,wave\n1,2\n",
        "BMW,Audi\n1,2\n",
        "PK,zip\n1,2\n",
    ],
)
def test_words_at_the_start_are_no_magic(tmp_path, text):
    assert surveyed(tmp_path, text.encode()).sample == text


def test_only_ordinary_files_are_read(tmp_path):
    (tmp_path / "real.csv").write_text("a,b\n1,2\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.csv")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket.csv"))
    listening.close()
    for name, what in (
        ("link.csv", "link"),
        ("gone.csv", "link"),
        ("pipe.csv", "pipe or a device"),
        ("socket.csv", "cannot be read"),
        ("missing", "not exist"),
        ("", "folder"),
    ):
        for read in (partial(survey, tmp_path / name, "x", tmp_path), partial(glance, tmp_path / name, "x")):
            with pytest.raises(DataError, match=what) as refused:
                read()
            assert refused.value.next_step
    with pytest.raises(DataError, match="pipe or a device"):
        survey(Path("/dev/zero"), "x", tmp_path)


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path):
    path = tmp_path / "file.dat"
    path.write_bytes(b"prompt,completion\n" + b"a,b\n" * 3_000_000)

    class Growing:
        told = 0

        def at(self, phase: str, done: int, total: int, unit: str) -> None:
            Growing.told += 1
            assert done <= total + 1
            with path.open("ab") as file:
                file.write(b"c,d\n")

    with pytest.raises(DataError, match="changed while it was read"):
        survey(path, "x", tmp_path, watch=Growing())
    assert Growing.told
    source = survey(path, "x", tmp_path)
    source.check_unchanged()
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="changed while it was read"):
        source.check_unchanged()
    path.unlink()
    with pytest.raises(DataError, match="not exist"):
        source.check_unchanged()


def test_names_with_anything_in_them(tmp_path):
    for name in (
        "[1]*?.csv",
        "new\nline.csv",
        "quote\"'.csv",
        "-rf",
        "ümlaut 空.csv",
        os.fsdecode(b"bad\xff.csv"),
        "a;b|c$(x).csv",
    ):
        path = tmp_path / name
        path.write_text("prompt,completion\n" + "q,a\n" * 3)
        found = data.inspect(path, name, tmp_path / "out")
        assert found.rows_usable == 3
        assert found.file_name.encode("utf-8", "replace")


def test_no_thread_and_no_file_stays_behind(tmp_path):
    before = threading.active_count()
    for content in (b"a,b\n1,2\n", gzip.compress(b"a,b\n1,2\n"), codecs.BOM_UTF16_LE + "a,b\n".encode("utf-16-le")):
        surveyed(tmp_path, content)
        data.inspect(tmp_path / "file.dat", "x", tmp_path / "out")
    assert threading.active_count() == before
    assert not {path.name for path in (tmp_path / "out").iterdir()} & {*WORKING_FILES, "records.txt"}
