import { defineKeys, type KeysDeclaration } from '@iopa/transport'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** Of a request of a client: whether it follows redirects, in place of what `client.redirect` of `http()` says. */
    'http.Redirect': 'follow' | 'manual'
    /** Of a request of a client: fields after its body, which is then sent in chunks. A function is called when the body has left. */
    'http.Trailers': Readonly<Record<string, string | (() => string | Promise<string>)>>
  }
}

/** The keys of this package, which the transport declares for its app. */
export const HTTP_KEYS: KeysDeclaration = defineKeys('http', {
  owner: '@iopa/http',
  keys: {
    Redirect: { doc: 'Of a request of a client: follow or manual' },
    Trailers: { doc: 'Of a request of a client: fields after its body' }
  }
})
