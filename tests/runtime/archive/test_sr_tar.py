import tarfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.archive.layout import sr_file
from cxrscribe.archive.sr_tar import member_name, pack, unpack
from cxrscribe.errors import InputError

DOCUMENTS = st.dictionaries(st.integers(0, 10**9 + 5), st.binary(max_size=1200), max_size=6).map(
    lambda found: sorted(found.items())
)


@given(DOCUMENTS)
def test_unpacked_documents_are_those_that_were_packed(documents: list[tuple[int, bytes]]) -> None:
    assert unpack(pack(documents), "a.tar") == documents


def test_shard_without_documents_has_a_tar_of_its_own() -> None:
    assert unpack(pack([]), "a.tar") == []
    with pytest.raises(InputError, match=r"a\.tar is damaged"):
        unpack(b"", "a.tar")


def test_members_say_nothing_of_who_made_them() -> None:
    with tarfile.open(fileobj=BytesIO(pack([(7, b"seven"), (12, b"twelve")]))) as tar:
        members = tar.getmembers()
    assert (
        [member.name for member in members]
        == ["000000007.dcm", "000000012.dcm"]
        == [
            member_name(7),
            member_name(12),
        ]
    )
    for member in members:
        assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
        assert member.mode == 0o600


@pytest.mark.parametrize("rows", [(2, 1), (3, 3)])
def test_rows_must_ascend(rows: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="in order"):
        pack([(row, b"") for row in rows])


@given(DOCUMENTS, st.data())
def test_tar_that_is_cut_off_or_longer_is_damaged(
    documents: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    content = pack(documents)
    cut = data.draw(st.integers(0, len(content) - 1))
    for damaged in (content[:cut], content + b"\0" * 512):
        with pytest.raises(InputError, match=r"sr-1\.tar is damaged"):
            unpack(damaged, "sr-1.tar")


@given(st.integers(0, 511), st.integers(1, 255))
def test_header_that_was_changed_is_damaged(place: int, change: int) -> None:
    content = bytearray(pack([(5, b"five")]))
    content[place] ^= change
    with pytest.raises(InputError, match=r"damaged"):
        unpack(bytes(content), "a.tar")


def test_links_and_other_names_are_none_of_ours() -> None:
    for name, kind in (("../000000001.dcm", tarfile.REGTYPE), ("000000001.dcm", tarfile.SYMTYPE)):
        packed = BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            member = tarfile.TarInfo(name)
            member.type = kind
            tar.addfile(member)
        with pytest.raises(InputError, match="damaged"):
            unpack(packed.getvalue(), "a.tar")


@pytest.mark.parametrize("size", [b"-0000000777", b"77777777777", b"           "])
def test_sizes_that_lie_take_no_memory_and_no_end_of_time(size: bytes) -> None:
    content = bytearray(pack([(5, b"five"), (6, b"six")]))
    content[124:135] = size
    with pytest.raises(InputError, match="damaged"):
        unpack(bytes(content), "a.tar")


def test_where_tars_are() -> None:
    assert sr_file(0, 1234) == "sr/001/sr-001234.tar"
    assert sr_file(2, 1234) == "retry/2/sr-001234.tar"
