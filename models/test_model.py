"""One generator, one direction: what ``test.py`` needs to translate a folder of images."""

from argparse import Namespace
from pathlib import Path

from checkpoint import weights as checkpoint
from models.base_model import BaseModel
from models.networks import define_G
from util.flags import Flag


class TestModel(BaseModel):
    """Any trained generator: ``real`` → ``fake``."""

    __test__ = False  # for pytest: the name is the field's, this is no test
    flags = {
        "model_suffix": Flag("", str, "load <epoch>_net_G<suffix>.pth, as in --model_suffix _A"),
    }
    defaults = {"dataset_mode": "single"}
    dataset_modes = ("single",)
    sources = {"real": "real", "fake": "real"}
    trainable = False

    def __init__(self, opt: Namespace):
        super().__init__(opt)
        # G_A goes the way that was trained as A → B, whatever the folders were called.
        self.backward = opt.backward
        self.suffix = opt.model_suffix
        channels = (opt.input_nc, opt.output_nc)
        layers = (opt.norm, not opt.no_dropout, opt.init_type, opt.init_gain)
        self.networks["G"] = define_G(
            *(reversed(channels) if self.backward else channels), opt.ngf, opt.netG, *layers
        )

    def set_input(self, batch: dict) -> None:
        self.inputs = {"real": self.to_device(batch["A"])}
        self.paths = self.paths_in(batch)

    def paths_in(self, batch: dict) -> dict[str, list[str]]:
        return {"real": batch.get("A_paths", [])}

    def forward(self) -> None:
        real = self.inputs["real"]
        self.visuals = {"real": real, "fake": self.networks["G"](real)}

    def weights_file(self, suffix: str | int, name: str) -> Path:
        """The file asked for by ``--model_suffix``; else G, else the one for the direction."""
        if self.suffix:
            return super().weights_file(suffix, f"{name}{self.suffix}")
        candidates = [name, f"{name}_B" if self.backward else f"{name}_A"]
        files = [super(TestModel, self).weights_file(suffix, each) for each in candidates]
        return next((file for file in files if file.is_file()), files[-1])

    def load_networks(self, suffix: str | int) -> None:
        file = self.weights_file(suffix, "G")
        checkpoint.load_weights(self.networks["G"], file)
        print(f"loaded the generator from {file}")
