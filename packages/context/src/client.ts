import type { Bag, HeadersInit } from '@iopa/constants'
import type { ReceivedAnswer } from './answer.ts'

/** Options of one request. */
export interface RequestOptions {
  readonly headers?: HeadersInit
  /** Content type of the body; without one it follows from the value. */
  readonly type?: string
  /** Aborts the request, or ends the observation. */
  readonly signal?: AbortSignal
}

/** The client that `app.connect` gives, the same for every protocol. Paths may carry a query; any status resolves. */
export interface Client {
  /** The path that stands before those of `get`, `put`, `post`, `patch`, `delete` and `observe`: that of the URL. Bags name whole paths. */
  readonly pathBase: string
  get(path: string, options?: RequestOptions): Promise<ReceivedAnswer>
  /** A body of null is JSON null; undefined means no body. */
  put(path: string, body: unknown, options?: RequestOptions): Promise<ReceivedAnswer>
  post(path: string, body: unknown, options?: RequestOptions): Promise<ReceivedAnswer>
  patch(path: string, body: unknown, options?: RequestOptions): Promise<ReceivedAnswer>
  delete(path: string, options?: RequestOptions): Promise<ReceivedAnswer>
  /** Sends a bag. */
  send(request: Bag): Promise<ReceivedAnswer>
  /** The representation now and after each change, until the signal aborts or the loop is left. */
  observe(path: string, options?: RequestOptions): AsyncIterable<ReceivedAnswer>
  /** The same for the request of a bag, whose method is GET or another one that the protocol observes with, such as FETCH over CoAP. */
  observe(request: Bag): AsyncIterable<ReceivedAnswer>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
