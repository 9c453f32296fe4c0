import type { Context } from '@iopa/context'
import type { RunContext } from '@iopa/context/host'
import { type ComposedPipeline, compose, type Pipeline } from './compose.ts'
import type { MiddlewareFunction, Next } from './middleware.ts'

/**
 * Layers as one middleware: what they do not answer goes to the `next` of the pipeline around them, or to `terminal`.
 * It is composed once; a run stays synchronous where its handlers are.
 */
export const sequence = (layers: readonly MiddlewareFunction[], terminal?: Pipeline, names: readonly string[] = []): MiddlewareFunction => {
  if (terminal !== undefined) {
    const closed = compose(layers, terminal, names)
    return context => closed.unwrap(closed(context as RunContext))
  }
  let composed: ComposedPipeline | null = null
  const onward = new WeakMap<Context, Next>()
  return (context, next) => {
    // A context that came by next.invoke has no next of its own; the rest of the outer pipeline is the same for all.
    composed ??= compose(layers, inner => onward.get(inner)?.() ?? next.invoke(inner), names)
    onward.set(context, next)
    return composed.unwrap(composed(context as RunContext))
  }
}
