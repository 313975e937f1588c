"""Makes the cookbook know ``nano``, so that its unmodified loops train, sample and score it by name.

Guarantees: registering twice changes nothing; no other model's answer changes; nothing is fetched from the network.
"""

from __future__ import annotations

from pathlib import Path

from studio.models.lineup import Model, nano_folder, nano_in

_MARK = "knows_nano"


def register_with_cookbook(folder: Path | None = None) -> None:
    """Teach this process's cookbook the tokenizer and the renderers of ``nano``.

    Afterwards ``tokenizer_utils.get_tokenizer``, ``model_info.get_recommended_renderer_name`` and everything built on them
    answer for ``tuning-fork/nano``. ``folder`` is where its files are, the shipped ones by default. Call it in every process
    that hands the name to the cookbook. Raises ``NotFoundError`` when the files are missing.
    """
    from tinker_cookbook import tokenizer_utils

    where = nano_folder() if folder is None else folder
    nano = nano_in(where)
    # The cookbook loads and caches a tokenizer from a local folder itself, so no second loader is needed here.
    tokenizer_utils.register_tokenizer(nano.wire_name, lambda: tokenizer_utils.get_tokenizer(str(where)))
    _teach_model_info(nano)


def _teach_model_info(nano: Model) -> None:
    """Put ``nano`` in front of ``model_info.get_model_attributes``.

    The cookbook has a registry for tokenizers and renderers but none for models: it picks a table by the organisation in
    the name. Its other functions look this one up in the module each time, so replacing it there reaches them all.
    """
    from tinker_cookbook import model_info

    original = model_info.get_model_attributes
    if getattr(original, _MARK, False):
        return
    attributes = model_info.ModelAttributes(
        organization=nano.wire_name.split("/", 1)[0],
        version_str="1",
        size_str=nano.size,
        is_chat=True,
        recommended_renderers=nano.renderers,
    )

    def get_model_attributes(model_name: str) -> model_info.ModelAttributes:
        return attributes if model_name.split(":", 1)[0] == nano.wire_name else original(model_name)

    setattr(get_model_attributes, _MARK, True)
    model_info.get_model_attributes = get_model_attributes
