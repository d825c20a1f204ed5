#!/usr/bin/env bash
# Train every model briefly with full-size networks, and translate an image with it.
# About six minutes on two busy cores. Expected output: docs/smoke.txt
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
PATH="$(cd "${VENV:-.venv}/bin" && pwd):$PATH"

draw() {  # FOLDER LAYOUT
    [ -d "$1" ] || python datasets/make_mini.py --out "$1" --layout "$2" --train 4 --test 2
}
draw datasets/mini unaligned
draw datasets/mini_pix2pix aligned
draw datasets/mini_colorization colorization

PS4='$ '
BASH_XTRACEFD=1
set -x
python train.py --model cycle_gan --name temp_cyclegan --dataroot ./datasets/mini --n_epochs 1 --n_epochs_decay 0 --save_latest_freq 10 --print_freq 1 --display_id -1
python test.py --model test --name temp_cyclegan --dataroot ./datasets/mini --num_test 1 --model_suffix "_A" --no_dropout
python train.py --model pix2pix --name temp_pix2pix --dataroot ./datasets/mini_pix2pix --n_epochs 1 --n_epochs_decay 5 --save_latest_freq 10 --display_id -1
python test.py --model pix2pix --name temp_pix2pix --dataroot ./datasets/mini_pix2pix --num_test 1
python train.py --model template --name temp2 --dataroot ./datasets/mini_pix2pix --n_epochs 1 --n_epochs_decay 0 --save_latest_freq 10 --display_id -1
python test.py --model template --name temp2 --dataroot ./datasets/mini_pix2pix --num_test 1
python train.py --model colorization --name temp_colorization --dataroot ./datasets/mini_colorization --n_epochs 1 --n_epochs_decay 0 --save_latest_freq 5 --display_id -1
python test.py --model colorization --name temp_colorization --dataroot ./datasets/mini_colorization --num_test 1
