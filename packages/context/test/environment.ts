import { CodecTable } from '@iopa/constants'
import { ContextFactory, type ContextInit, type Endpoint, type Environment, type RequestSource, type RunContext } from '@iopa/context/host'

export interface Bench {
  readonly environment: Environment
  readonly factory: ContextFactory
  readonly notified: string[]
  readonly errors: unknown[][]
}

/** An environment that records its calls. */
export const bench = (overrides: Partial<Environment> = {}): Bench => {
  const notified: string[] = []
  const errors: unknown[][] = []
  const logger = { error: (...data: unknown[]) => void errors.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
  const environment: Environment = {
    live: 0,
    lastId: 0,
    changes: null,
    capabilities: { 'urn:io.iopa:app': { version: '5.0', deep: { shared: 1 } } },
    logger,
    codecs: new CodecTable(),
    bodyLimit: 1000,
    now: () => 1234,
    clock: { now: () => 1234, elapsed: () => 1234, setTimeout: () => 0, clearTimeout: () => undefined },
    notify: path => void notified.push(path),
    ...overrides
  }
  return { environment, factory: new ContextFactory(environment), notified, errors }
}

export const endpoint: Endpoint = {
  scheme: 'http',
  protocol: 'HTTP/1.1',
  remoteAddress: '192.0.2.1',
  remotePort: 4000,
  localAddress: '192.0.2.2',
  localPort: 8080,
  tls: false,
  sessionId: 's1',
  rawTransport: null,
  bodyLimit: 1000
}

export const request = (
  factory: ContextFactory,
  path = '/a',
  source: RequestSource | null = null,
  parent: RunContext | null = null,
  method = 'GET'
): RunContext => {
  const init: ContextInit = { method, path, query: 'x=1', rawPath: path, endpoint, source }
  return factory.create(init, parent)
}
