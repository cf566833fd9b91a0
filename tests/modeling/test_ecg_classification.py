"""Fine-tuning the tower with a linear head."""

import pytest
import torch
import torch.nn.functional as F

from modeling_etp.classification_etp import ETPForEcgClassification
from modeling_etp.configuration_etp import ETPEcgConfig
from modeling_etp.modeling_etp import ETPEcgModel


@pytest.fixture
def make_classifier():
    def make(**fields) -> ETPForEcgClassification:
        torch.manual_seed(0)
        config = ETPEcgConfig(**{"hidden_sizes": (8, 16), "depths": (1, 1), "kernel_sizes": (3, 3), **fields})
        return ETPForEcgClassification(config).eval()

    return make


def test_one_label_per_ecg_gives_the_cross_entropy(make_classifier, ecgs):
    labels = torch.tensor([0, 2, 1, 2])
    output = make_classifier(num_labels=3)(ecgs, labels=labels)
    torch.testing.assert_close(output.loss, F.cross_entropy(output.logits, labels))


def test_several_labels_per_ecg_give_the_binary_cross_entropy(make_classifier, ecgs):
    labels = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
    output = make_classifier(num_labels=3, problem_type="multi_label_classification")(ecgs, labels=labels)
    torch.testing.assert_close(output.loss, F.binary_cross_entropy_with_logits(output.logits, labels))


def test_a_regression_gives_the_squared_error(make_classifier, ecgs):
    ages = torch.tensor([50.0, 61, 33, 80])
    output = make_classifier(num_labels=1, problem_type="regression")(ecgs, labels=ages)
    torch.testing.assert_close(output.loss, F.mse_loss(output.logits[:, 0], ages))


def test_the_tower_comes_from_a_full_checkpoint_with_only_the_head_missing(make_model, ecgs, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    classifier, loading = ETPForEcgClassification.from_pretrained(tmp_path, num_labels=5, output_loading_info=True)
    assert loading["missing_keys"] == {"classifier.weight", "classifier.bias"}
    assert classifier(ecgs).logits.shape == (4, 5)
    torch.testing.assert_close(classifier.ecg_model(ecgs).pooler_output, model.ecg_model(ecgs).pooler_output)


def test_saving_and_loading_keeps_logits_and_label_names(make_classifier, ecgs, tmp_path):
    classifier = make_classifier(id2label={0: "NORM", 1: "MI"}, label2id={"NORM": 0, "MI": 1})
    classifier.save_pretrained(tmp_path)
    loaded = ETPForEcgClassification.from_pretrained(tmp_path)
    assert loaded.config.id2label == {0: "NORM", 1: "MI"}
    torch.testing.assert_close(loaded(ecgs).logits, classifier(ecgs).logits, rtol=0, atol=0)


def test_the_tower_alone_comes_from_a_classifier(make_classifier, ecgs, tmp_path):
    classifier = make_classifier()
    classifier.save_pretrained(tmp_path)
    tower, loading = ETPEcgModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"]
    torch.testing.assert_close(tower(ecgs).pooler_output, classifier.ecg_model(ecgs).pooler_output)


def test_dropout_before_the_head_acts_in_training_only(make_classifier, ecgs):
    classifier = make_classifier(classifier_dropout=0.5, norm="layer")
    torch.testing.assert_close(classifier(ecgs).logits, classifier(ecgs).logits)
    classifier.train()
    assert not torch.equal(classifier(ecgs).logits, classifier(ecgs).logits)


def test_labels_that_are_not_known_are_no_part_of_the_loss(make_classifier, ecgs):
    labels = torch.tensor([[1.0, 0, -100], [0, 0, -100], [0, 1, -100], [1, 1, -100]])
    output = make_classifier(num_labels=3, problem_type="multi_label_classification")(ecgs, labels=labels)
    known = F.binary_cross_entropy_with_logits(output.logits[:, :2], labels[:, :2])
    torch.testing.assert_close(output.loss, known)


def test_a_frozen_tower_keeps_its_statistics_while_the_head_learns(make_classifier, ecgs):
    classifier = make_classifier(num_labels=2)
    classifier.ecg_model.requires_grad_(False)
    before = {name: value.clone() for name, value in classifier.ecg_model.state_dict().items()}
    classifier.train()(ecgs)
    for name, value in classifier.ecg_model.state_dict().items():
        assert torch.equal(value, before[name]), name
    classifier.ecg_model.requires_grad_(True)
    classifier.train()(ecgs)
    assert not torch.equal(classifier.ecg_model.stem.norm.running_mean, before["stem.norm.running_mean"])


def test_trainer_divides_the_loss_by_the_steps_of_accumulation(make_classifier, ecgs, tmp_path):
    from transformers import Trainer, TrainingArguments

    rows = [{"input_values": ecg, "labels": torch.tensor(number % 2)} for number, ecg in enumerate(ecgs)]
    norms = []
    for batch_size, steps in ((4, 1), (2, 2)):
        settings = TrainingArguments(
            output_dir=str(tmp_path), per_device_train_batch_size=batch_size, gradient_accumulation_steps=steps,
            max_steps=1, logging_steps=1, report_to="none", use_cpu=True, disable_tqdm=True, save_strategy="no",
        )  # fmt: skip
        trainer = Trainer(model=make_classifier(num_labels=2, norm="layer"), args=settings, train_dataset=rows)
        trainer.train()
        norms.append(trainer.state.log_history[0]["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
