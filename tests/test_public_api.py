import json

import pytest

from tests.public_api import FILE, public_api


@pytest.fixture(scope="module")
def present():
    return public_api()


@pytest.mark.parametrize("part", ["names", "signatures", "members", "layers", "networks"])
def test_what_users_and_their_files_rely_on_is_as_it_was(present, part):
    expected = json.loads(FILE.read_text(encoding="utf-8"))[part]
    assert present[part].keys() == expected.keys()
    for name, value in expected.items():
        assert present[part][name] == value, name
