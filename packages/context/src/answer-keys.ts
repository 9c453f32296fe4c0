import type { Capabilities, HeaderFields, HeadersInit } from '@iopa/constants'
import type { Answer } from './answer.ts'

/** The canonical keys of an answer, each a mirror of its member. Written out, for a getter that all of them shared would cost many times as much. */
const keys: ThisType<Answer & { readonly owner: { readonly 'server.Capabilities': Capabilities } | null }> = {
  get 'iopa.StatusCode'(): number {
    return this.status
  },
  set 'iopa.StatusCode'(status: number) {
    this.status = status
  },
  get 'iopa.ReasonPhrase'(): string {
    return this.reason
  },
  set 'iopa.ReasonPhrase'(reason: string) {
    this.reason = reason
  },
  get 'iopa.Headers'(): HeaderFields {
    return this.headers
  },
  set 'iopa.Headers'(headers: HeadersInit) {
    this.headers = headers
  },
  get 'iopa.ContentType'(): string {
    return this.type
  },
  set 'iopa.ContentType'(type: string) {
    this.type = type
  },
  get 'iopa.Body'(): unknown {
    return this.body
  },
  set 'iopa.Body'(body: unknown) {
    this.body = body
  },
  get 'server.Capabilities'(): Capabilities {
    return this.owner === null ? {} : this.owner['server.Capabilities']
  }
}

/** Puts the keys on the prototype of the answer. */
export const addAnswerKeys = (prototype: object): void => {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(keys))) {
    Object.defineProperty(prototype, name, { ...descriptor, enumerable: false })
  }
}
