"""Networks, one a file: `build(unit, input_shape, classes, <settings>) -> keras.Model`.

mlp.py, cnn.py    written for this program; unit.py: what the arms vary in them
foreign.py        any Keras network (model=keras): builder.py calls its builder, replace.py
                  replaces its BatchNormalization layers, ending.py cuts it to its logits
structure.py      what a network consists of, in an order that all arms share
initial.py        initial values;  chance.py: builds that come out alike
hints.py          how a network is compiled and fed
fixup.py          the unit of residual networks that train without a norm
dense.py, dropout.py, bias.py, ...    layers, one a file
"""
