import { HeaderMap, type Trailers } from '@iopa/transport'

/** The fields after the body of an answer (RFC 9112 section 7.1.2). */
export class AnswerTrailers implements Trailers {
  #fields: readonly string[] = []

  get received(): HeaderMap {
    return new HeaderMap([...this.#fields])
  }

  /** The body has been read to its end. */
  arrived(fields: readonly string[]): void {
    this.#fields = fields
  }

  set(): false {
    return false
  }
}
