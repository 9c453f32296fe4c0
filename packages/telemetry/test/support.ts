import { context, propagation, type Tracer, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core'
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, type Sampler, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'

/** Spans in memory, and their tracer. */
export interface MemorySpans {
  readonly provider: BasicTracerProvider
  readonly tracer: Tracer
  spans(): ReadableSpan[]
}

export const memorySpans = (sampler?: Sampler): MemorySpans => {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)], ...(sampler ? { sampler } : undefined) })
  return { provider, tracer: provider.getTracer('test'), spans: () => exporter.getFinishedSpans() }
}

/** The SDK as an app sets it up: global provider, context manager and propagators. `stop` removes it. */
export const globalSdk = (): MemorySpans & { stop(): void } => {
  const memory = memorySpans()
  const manager = new AsyncLocalStorageContextManager().enable()
  context.setGlobalContextManager(manager)
  trace.setGlobalTracerProvider(memory.provider)
  propagation.setGlobalPropagator(new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }))
  return {
    ...memory,
    stop: () => {
      manager.disable()
      context.disable()
      trace.disable()
      propagation.disable()
    }
  }
}

/** The id of the span's parent. */
export const parentOf = (span: ReadableSpan): string | undefined => span.parentSpanContext?.spanId

/** Waits until `done` is true, for a second at most. */
export const until = async (done: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 200 && !done(); turn++) await new Promise(resolve => setTimeout(resolve, 5))
}
