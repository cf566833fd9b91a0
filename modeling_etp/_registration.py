"""Make ETP known to transformers' Auto classes and to `pipeline`, without importing transformers for it."""

import importlib
import sys
import threading
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points

DEFAULT_MODEL_GROUP = "modeling_etp.default_model"


def _register_configs() -> None:
    from transformers import AutoConfig

    from .configuration_etp import ETPConfig, ETPEcgConfig

    for config_class in (ETPConfig, ETPEcgConfig):
        config_class.register_for_auto_class()
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)


def _register_models() -> None:
    from transformers import AutoModel, AutoModelForAudioClassification

    from .classification_etp import ETPForEcgClassification
    from .configuration_etp import ETPConfig, ETPEcgConfig
    from .modeling_etp import ETPEcgModel, ETPModel

    for auto_class, config_class, model_class in (
        (AutoModel, ETPConfig, ETPModel),
        (AutoModel, ETPEcgConfig, ETPEcgModel),
        # The nearest of transformers' tasks: one label set for a sampled signal given as `input_values`.
        (AutoModelForAudioClassification, ETPEcgConfig, ETPForEcgClassification),
    ):
        model_class.register_for_auto_class(auto_class)
        auto_class.register(config_class, model_class, exist_ok=True)


def _register_feature_extractor() -> None:
    from transformers import AutoFeatureExtractor

    from .configuration_etp import ETPConfig, ETPEcgConfig
    from .feature_extraction_etp import ETPFeatureExtractor

    ETPFeatureExtractor.register_for_auto_class()
    for config_class in (ETPConfig, ETPEcgConfig):
        AutoFeatureExtractor.register(config_class, ETPFeatureExtractor, exist_ok=True)


def _register_processor() -> None:
    from transformers import AutoProcessor

    from .configuration_etp import ETPConfig
    from .processing_etp import ETPProcessor

    ETPProcessor.register_for_auto_class()
    AutoProcessor.register(ETPConfig, ETPProcessor, exist_ok=True)


class _DefaultModel(dict):
    """What `pipeline(TASK)` opens without `model=`: the default of the package that offers one, asked only when needed.

    The parts that travel with a checkpoint know of no package that has weights, so such a package names the function
    that gives the folder as its entry point of the group `modeling_etp.default_model`.
    """

    def __init__(self) -> None:
        super().__init__(model=None)

    def __getitem__(self, key: str) -> tuple[str, str]:
        offered = sorted(entry_points(group=DEFAULT_MODEL_GROUP), key=lambda entry: entry.name)
        if not offered:
            raise ValueError(
                "there is no default model here: none comes with modeling_etp alone, and no installed package offers "
                "one. Pass `model=`, a folder or a name on the Hub, or install etp-ecg, which comes with one (in a "
                "clone: pip install -e .)."
            )
        return offered[0].load()(), "main"


def _register_pipelines() -> None:
    from transformers import AutoModel, AutoModelForAudioClassification
    from transformers.pipelines import PIPELINE_REGISTRY

    from .classification_pipeline_etp import CLASSIFICATION_TASK, EcgClassificationPipeline
    from .pipeline_etp import TASK, ZeroShotEcgClassificationPipeline

    for task in (TASK, CLASSIFICATION_TASK):
        PIPELINE_REGISTRY.supported_tasks.pop(task, None)  # registering twice would warn
    PIPELINE_REGISTRY.register_pipeline(
        TASK, ZeroShotEcgClassificationPipeline, pt_model=AutoModel, default=_DefaultModel(), type="multimodal"
    )
    PIPELINE_REGISTRY.register_pipeline(
        CLASSIFICATION_TASK, EcgClassificationPipeline, pt_model=AutoModelForAudioClassification, type="multimodal"
    )


# Either module of a line being imported, transformers' or ours, is reason to register: the one so that transformers
# finds our class, the other so that saving one of our objects writes the `auto_map` and copies the code beside it.
_REGISTRATIONS: dict[Callable[[], None], tuple[str, str]] = {
    _register_configs: ("transformers.models.auto.configuration_auto", "configuration_etp"),
    _register_models: ("transformers.models.auto.modeling_auto", "modeling_etp"),
    _register_feature_extractor: ("transformers.models.auto.feature_extraction_auto", "feature_extraction_etp"),
    _register_processor: ("transformers.models.auto.processing_auto", "processing_etp"),
    _register_pipelines: ("transformers.pipelines", "pipeline_base_etp"),
}


class _ImportWatch(MetaPathFinder):
    """Registers once transformers' or our modules are imported, and never while one of them is half imported.

    A registration imports our modules, and these import transformers'. Were it done while such a module is still
    being executed, it would meet a module without its names. So the watch counts how deep the imports of both
    packages are nested in this thread, and registers when the outermost one is done.
    """

    def __init__(self) -> None:
        self._nesting = threading.local()
        self._pending = dict(_REGISTRATIONS)

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        if not self._pending or fullname.partition(".")[0] not in ("transformers", __package__):
            return None
        finders = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in finders)), None)
        if spec is not None and spec.loader is not None:
            self._watch(spec.loader)
        return spec

    def _watch(self, loader) -> None:
        execute = loader.exec_module

        def exec_module(module) -> None:
            del loader.exec_module
            self._nesting.depth = getattr(self._nesting, "depth", 0) + 1
            try:
                execute(module)
            finally:
                self._nesting.depth -= 1
            if self._nesting.depth == 0:
                self.register()

        loader.exec_module = exec_module

    def register(self) -> None:
        for registration, (theirs, ours) in _REGISTRATIONS.items():
            if registration in self._pending and (theirs in sys.modules or f"{__package__}.{ours}" in sys.modules):
                del self._pending[registration]
                importlib.import_module(theirs)
                registration()


def register_when_loaded() -> None:
    """Register now what transformers has already imported, and the rest when it gets imported."""
    watch = _ImportWatch()
    sys.meta_path.insert(0, watch)
    watch.register()
