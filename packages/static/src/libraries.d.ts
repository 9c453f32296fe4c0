// The two libraries ship no types of their own.
declare module 'negotiator' {
  interface EncodingOptions {
    readonly preferred?: readonly string[]
  }
  class Negotiator {
    constructor(request: { readonly headers: Readonly<Record<string, string | undefined>> })
    encodings(available: readonly string[], options?: EncodingOptions): string[]
  }
  export default Negotiator
}

declare module 'range-parser' {
  // The types of Express, which tests import, name all three.
  interface Options {
    readonly combine?: boolean
  }
  type Result = -1 | -2
  interface Ranges extends Array<{ start: number; end: number }> {
    type: string
  }
  export default function parseRange(size: number, header: string): Ranges | -1 | -2
}
