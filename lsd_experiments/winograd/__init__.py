"""Wide 3 x 3 x 3 convolutions on a CPU with fewer multiplications (Winograd's), for prediction and training.

:mod:`.layer` has the Keras layer, and :func:`.layer.pays`, which alone says when it is taken in place of Keras' own;
:mod:`.convolution` the convolution of arrays and its gradients; :mod:`.kernels` the arithmetic, and how it goes.
"""
