"""One generator, one direction: what ``test.py`` needs to translate a folder of images."""

from argparse import Namespace

from checkpoint.networks import load_networks
from checkpoint.weights import weights_path
from models.base_model import BaseModel
from util.flags import Flag


class TestModel(BaseModel):
    """A trained generator of any model: ``real`` → ``fake``."""

    __test__ = False  # pytest: not a test class
    flags = {
        "model_suffix": Flag("", str, "load <epoch>_net_G<suffix>.pth, for example _A"),
    }
    defaults = {"dataset_mode": "single"}
    dataset_modes = ("single",)
    input_names = ("real",)
    visual_sources = {"real": "real", "fake": "real"}
    trainable = False

    def __init__(self, opt: Namespace):
        super().__init__(opt)
        self.uses_G_B = opt.backward  # translate B → A with the second of two generators
        self.suffix = opt.model_suffix
        input_nc, output_nc = opt.input_nc, opt.output_nc
        if self.uses_G_B:
            input_nc, output_nc = output_nc, input_nc

        self.netG = self.create_G(opt, input_nc, output_nc)

    def set_input(self, batch: dict) -> None:
        """Take the ``A`` of a batch."""
        self.real = self.to_device(batch["A"])
        self.paths = self.batch_paths(batch)

    def batch_paths(self, batch: dict) -> dict[str, list[str]]:
        """Files of a batch by the input they become."""
        return {"real": batch.get("A_paths", [])}

    def forward(self) -> None:
        """Translate."""
        self.fake = self.netG(self.real)

    def load_networks(self, prefix: str | int) -> None:
        """Load the generator and print from which file."""
        name = self.generator_name(prefix)
        load_networks({name: self.netG}, self.save_dir, prefix)
        print(f"loaded the generator from {weights_path(self.save_dir, prefix, name)}")

    def generator_name(self, prefix: str | int) -> str:
        """Return the name of the generator's file: of ``--model_suffix``; else G, G_A or G_B."""
        if self.suffix:
            return f"G{self.suffix}{self.load_suffix}"

        names = ["G" + self.load_suffix, ("G_B" if self.uses_G_B else "G_A") + self.load_suffix]
        existing = (n for n in names if weights_path(self.save_dir, prefix, n).is_file())
        return next(existing, names[-1])
