import { defineKeys, type KeysDeclaration } from '@iopa/transport'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** Of a request of a client: whether it follows redirects, in place of what `client.redirect` of `http()` says. */
    'http.Redirect': 'follow' | 'manual'
  }
}

/** The keys of this package, which the transport declares for its app. */
export const HTTP_KEYS: KeysDeclaration = defineKeys('http', {
  owner: '@iopa/http',
  keys: {
    Redirect: { doc: 'Of a request of a client: follow or manual' }
  }
})
