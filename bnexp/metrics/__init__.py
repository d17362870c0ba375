"""Further metrics: one a file; of your own, a function given as `metrics=[module:function]`.

A metric is a function of labels (batch,), int32, and logits (batch, classes), float32, to a value
per image (batch,), float32, whose mean over validation goes to history.csv as `val_NAME`, and over
test to result.json as `test_NAME`.
"""
