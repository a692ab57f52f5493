"""35 realistic mistakes, 6 rewrites that change nothing, and the mistakes found in public hand-made ports.

All are edits of migrated programs.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

VIT, RESNET, LM = 'example_vit', 'example_resnet', 'language_model'
LSTM, TIED, NOISE, TWICE = 'recurrent_lstm', 'tied_embedding', 'rng_noise', 'shared_twice'
CODER = 'autoencoder_methods'
CASES: dict[str, dict[str, Any]] = {
  VIT: {'model': 'ViT', 'arguments': {'config': '{module}.ViTConfig(width=16, depth=2, heads=4, rate=0.1)', 'classes': '3'},
            'inputs': ['f32[2,8,8,3]'], 'eval': {'train': False}, 'train': {'train': True}, 'rngs': ['dropout']},
  RESNET: {'model': 'ResNet', 'arguments': {'stage_sizes': '(1, 2)', 'num_classes': '4', 'num_filters': '8'},
               'inputs': ['f32[2,16,16,3]'], 'eval': {'train': False}, 'train': {'train': True}, 'mutable': ['batch_stats']},
  LM: {'model': 'LM', 'inputs': ['i32[2,6] < 17'], 'eval': {'deterministic': True}, 'train': {'deterministic': False},
           'rngs': ['dropout']},
  LSTM: {'model': 'SetupTagger', 'inputs': ['f32[2,4,3]']},
  TIED: {'model': 'TiedLM', 'arguments': {'vocab_size': '11'}, 'inputs': ['i32[2,5] < 11']},
  NOISE: {'model': 'VariationalBottleneck', 'arguments': {'latents': '3'}, 'inputs': ['f32[8,5]'], 'eval': {'train': False},
              'train': {'train': True}, 'rngs': ['noise', 'dropout', 'latent']},
  CODER: {'model': 'Autoencoder', 'arguments': {'latents': '3', 'image_shape': '(4, 5, 1)'}, 'inputs': ['f32[2,4,5,1]']},
  TWICE: {'model': 'Siamese', 'arguments': {'features': '6'}, 'inputs': ['f32[3,4]', 'f32[3,4]']},
}


@dataclasses.dataclass(frozen=True)
class Change:
  """One edit of a migrated program.

  where: pattern of the module or leaf to be named; '' for a benign rewrite.
  linen: edit of the Linen source, for what the programs do not have.  case: fields of the case that are other.
  """

  name: str
  program: str
  old: str = ''
  new: str = ''
  where: str = ''
  linen: tuple[str, str] = ('', '')
  case: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @property
  def is_benign(self) -> bool:
    return not self.where


BLOCK = r'(block_\d|Block_\d|b\d)'
CHANGES = (
  # Hyper-parameters.
  Change('batch norm momentum', RESNET, 'momentum=0.9)', 'momentum=0.99)', 'BatchNorm_|bn_|norm'),
  Change('batch norm epsilon', RESNET, 'momentum=0.9)', 'momentum=0.9, epsilon=1e-3)', 'BatchNorm_|bn_|norm'),
  Change('layer norm epsilon', VIT, 'self.norm = nnx.LayerNorm(cfg.width, ', 'self.norm = nnx.LayerNorm(cfg.width, epsilon=1e-5, ',
         'norm'),
  Change('other layer norm epsilon', LM, 'cfg.num_embeds, epsilon=1e-5', 'cfg.num_embeds, epsilon=1e-6', 'ln_f'),
  Change('rate is what is kept', LM, 'self.dropout = nnx.Dropout(cfg.dropout_rate, rngs=rngs)\n    self.block',
         'self.dropout = nnx.Dropout(1 - cfg.dropout_rate, rngs=rngs)\n    self.block', 'Dropout_0'),
  Change('dropout missing', LM, 'attn = self.dropout(attn, deterministic=deterministic)', 'pass', 'attn'),
  Change('dropout in evaluation', LM, 'x = self.dropout(x, deterministic=deterministic)',
         'x = self.dropout(x, deterministic=not deterministic)', 'Dropout_0'),
  Change('statistics inverted', RESNET, 'x = self.bn_init(x, use_running_average=not train)',
         'x = self.bn_init(x, use_running_average=train)', 'bn_init'),
  Change('exact gelu', VIT, 'nnx.gelu(y)', 'nnx.gelu(y, approximate=False)', 'Dense_1'),
  Change('silu for relu', RESNET, 'act: Callable = nnx.relu', 'act: Callable = nnx.silu', 'ResNetBlock|BatchNorm|Conv'),
  Change('attention heads', VIT, 'num_heads=cfg.heads', 'num_heads=cfg.heads // 2', 'MultiHead|kernel|weights'),
  # Weights.
  Change('tied weights untied', TIED, 'self.token_embed.attend(x)', 'x @ self.token_embed.embedding[...][::-1].T', 'token_embed|^$'),
  Change('queries and keys swapped', LM, 'q, k, v = jnp', 'k, q, v = jnp', 'attn'),
  Change('bias missing', LM, 'self.c_proj = nnx.Linear(x_features, x_features, use_bias=cfg.use_bias',
         'self.c_proj = nnx.Linear(x_features, x_features, use_bias=False', 'attn/c_proj/bias'),
  Change('blocks reversed', LM, 'self.block[i](', 'self.block[-1 - i](', r'^[01]$'),
  Change('kernel transposed', TWICE, 'a = norm(nnx.relu(encoder(left)))',
         'a = norm(nnx.relu(left @ encoder.kernel[...].reshape(6, 4).T + encoder.bias[...]))', 'Dense_0|LayerNorm_0|^$'),
  # Structure.
  Change('residual missing', LM, 'x = x + self.attn(', 'x = self.attn(', 'ln_2|block|Block|h_|layer'),
  Change('norm over another axis', VIT, 'self.layer_norm1 = nnx.LayerNorm(in_features, ',
         'self.layer_norm1 = nnx.LayerNorm(in_features, reduction_axes=(1,), ', 'LayerNorm_0'),
  Change('padding as in torch', RESNET, 'self.conv_init = conv(in_features, num_filters, (3, 3), ',
         'self.conv_init = conv(in_features, num_filters, (3, 3), padding=((2, 0), (2, 0)), ', 'conv_init|Conv_0'),
  Change('relu missing', RESNET, 'y = self.norm1(y, use_running_average=not train)\n    y = self.act(y)',
         'y = self.norm1(y, use_running_average=not train)', 'ResNetBlock_\\d'),
  Change('mask missing', LM, 'attn = jnp.where(mask, attn, jnp.finfo(attn.dtype).min)', 'pass', 'attn'),
  Change('scale missing', LM, ' * scale', '', 'attn'),
  Change('norm after the sum', LM, 'return x + self.proj(nnx.gelu(self.fc(self.ln_2(x)), approximate=True))',
         'return self.ln_2(x + self.proj(nnx.gelu(self.fc(x), approximate=True)))', 'fc|ln_2|block|Block|h_'),
  Change('mean over one axis', RESNET, 'jnp.mean(x, axis=(1, 2))', 'jnp.mean(x, axis=1)[:, 0]', 'Dense_0|^$'),
  Change('first token, not the class token', VIT, 'x[:, 0]', 'x[:, 1]', 'head|Dense_0|^$'),
  Change('class token appended', VIT, '[jnp.tile(cls, (n, 1, 1)), x]', '[x, jnp.tile(cls, (n, 1, 1))]', 'AddPositions|positions|^$'),
  Change('last state missing', LSTM, ' + jnp.expand_dims(hidden.sum(-1, keepdims=True), 1)', '', '^$'),
  # Training and gradients alone.
  Change('gradient stopped', VIT, 'x = self.positions(x)', 'x = jax.lax.stop_gradient(self.positions(x))', 'positions|AddPositions'),
  Change('sharing lost in the gradient', TIED, 'self.token_embed.attend(x)',
         'x @ jax.lax.stop_gradient(self.token_embed.embedding[...]).T', 'token_embed|^$'),
  Change('draws of one module shared', NOISE, 'rng = self.rngs.dropout()', 'rng = self.rngs.noise()', 'DropPath|drop_path|keys|NNX'),
  Change('no factor for what is kept', NOISE, 'return x * mask / keep', 'return x * mask', 'DropPath|drop_path'),
  Change('standard deviation from the variance', NOISE, '0.5 * logvar', 'logvar', 'Dense|decoder|^$'),
  Change('softmax in half precision', LM, 'attn = nnx.softmax(attn)',
         'attn = nnx.softmax(attn.astype(jnp.bfloat16)).astype(jnp.float32)', 'attn'),
  # Initializers.
  Change('other initializer', TIED, 'nnx.initializers.normal(stddev=1.0)', 'nnx.initializers.normal(stddev=0.02)', 'token_embed'),
  Change('zero scale lost', RESNET, 'scale_init=nnx.initializers.zeros_init(), ', '', 'BatchNorm_1|norm2'),
  # Rewrites that change nothing.
  Change('sum in the other order', LM, 'x = x + self.attn(self.ln_1(x), mask, deterministic)',
         'x = self.attn(self.ln_1(x), mask, deterministic) + x'),
  Change('scale before the product', LM, "jnp.einsum('...qhd,...khd->...hqk', q, k) * scale",
         "jnp.einsum('...qhd,...khd->...hqk', q * scale, k)"),
  Change('softmax written out', LM, 'attn = nnx.softmax(attn)',
         'attn = jnp.exp(attn - attn.max(-1, keepdims=True))\n    attn = attn / attn.sum(-1, keepdims=True)'),
  Change('mean as a sum', RESNET, 'jnp.mean(x, axis=(1, 2))', 'jnp.sum(x, axis=(1, 2)) / (x.shape[1] * x.shape[2])'),
  Change('square as a product', TWICE, 'jnp.square(a - b)', '(a - b) * (a - b)'),
  Change('noise first', NOISE, 'x + self.std * random.normal(self.rngs.noise(), x.shape)',
         'random.normal(self.rngs.noise(), x.shape) * self.std + x'),
)

# Decay of weights for matrices alone, by shape, so that it reads the same tree on either side.
MASKED = 'optax.adamw(1e-3, weight_decay=0.1, mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree))'
# What was wrong in public ports made by hand, each kind of mistake in programs of ours.
PORTED = (
  Change('port: max pool dropped', RESNET, linen=('x = self.act(x)', "x = nn.max_pool(self.act(x), (3, 3), (2, 2), padding='SAME')"),
         where='ResNetBlock_0|Conv_0'),
  Change('port: zero scale of the last norm lost', RESNET, 'norm(filters, scale_init=nnx.initializers.zeros_init(), ', 'norm(filters, ',
         'BatchNorm_1|norm2'),
  Change('port: weight decay of biases too', CODER, where='bias', case={
    'optimizer': MASKED, 'nnx_optimizer': 'optax.adamw(1e-3, weight_decay=0.1)'}),
  Change('port: other decay of weights', CODER, where='kernel', case={
    'optimizer': MASKED, 'nnx_optimizer': MASKED.replace('weight_decay=0.1, ', '')}),
  Change('port: initializer became the default', TIED, '        embedding_init=nnx.initializers.normal(stddev=1.0),\n', '', 'token_embed'),
  Change('port: None first, then a module', RESNET, 'self.strides = strides', 'self.strides = strides\n    self.conv_proj = None',
         'conv_proj'),
  Change('port: one block too many', RESNET, 'for j in range(size):', 'for j in range(size + (i == 1)):', 'res_net_block'),
  Change('port: one block too few', RESNET, 'for j in range(size):', 'for j in range(size - (i == 1)):', 'ResNetBlock_2'),
  Change('port: activation of the head missing', CODER, 'nnx.sigmoid(self.pixels(x))', 'self.pixels(x)', 'pixels|^$'),
  Change('port: every layer seeded alike', CODER, 'hidden, rngs=rngs)\n    self.fc2 = nnx.Linear(hidden, latents, rngs=rngs)',
         'hidden, rngs=nnx.Rngs(0))\n    self.fc2 = nnx.Linear(hidden, latents, rngs=nnx.Rngs(0))', 'fc1|fc2'),
  Change('port: input not flattened', CODER, 'flat = images.reshape((images.shape[0], -1))', 'flat = images', 'encode|fc1'),
  Change('port: plain list of modules', RESNET, 'self.res_net_block = nnx.List()', 'self.res_net_block = []', 'res_net_block'),
)
