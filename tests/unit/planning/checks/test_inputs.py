"""Inputs other than text, and what is read out of answers."""

from llmfleet.planning.checks import inputs
from tests.unit.planning.checks.subjects import facts, refused, said, warned


def test_limits_for_a_text_model_have_no_effect() -> None:
    multimodal = {"multimodal": {"limits": {"image": 2}}}
    assert "no input but text" in warned(inputs.inputs_of_text_models, known=facts(), engine=multimodal)
    assert said(inputs.inputs_of_text_models, known=facts(vision_config={"hidden_size": 1}), engine=multimodal) == ()
    assert said(inputs.inputs_of_text_models, engine=multimodal) == ()


def test_a_kind_of_input_that_no_model_has_is_worth_a_word() -> None:
    assert "spec.engine.multimodal.limits.images" in warned(inputs.kinds_of_input, engine={"multimodal": {"limits": {"images": 2}}})
    assert said(inputs.kinds_of_input, engine={"multimodal": {"limits": {"image": 2, "video": 0, "audio": 1}}}) == ()


def test_blanks_are_left_out_by_some_backends_only() -> None:
    assert "xgrammar and guidance" in refused(inputs.compact_json, engine={"structuredOutputs": {"disableAnyWhitespace": True}})
    assert said(inputs.compact_json, engine={"structuredOutputs": {"disableAnyWhitespace": True, "backend": "guidance"}}) == ()
    assert said(inputs.compact_json, engine={"structuredOutputs": {"backend": "auto"}}) == ()


def test_a_pooling_model_gives_no_answers() -> None:
    assert "spec.engine.toolCalling" in warned(inputs.answers_of_pooling_models, model={"runner": "pooling"}, engine={"toolCalling": {"parser": "hermes"}})
    assert said(inputs.answers_of_pooling_models, engine={"toolCalling": {"parser": "hermes"}}) == ()
