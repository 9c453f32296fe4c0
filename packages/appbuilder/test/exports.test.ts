import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/** Every name of `@iopa/appbuilder`, types included: what an app needs. What authors of extensions need is in `@iopa/appbuilder/extension`. */
const NAMES = [
  'Answer',
  'App',
  'AppBuilder',
  'AppOptions',
  'Bag',
  'Client',
  'ConnectOptions',
  'Context',
  'Counts',
  'Explanation',
  'IopaError',
  'IopaKeys',
  'Limits',
  'Logger',
  'MiddlewareFunction',
  'MiddlewareObject',
  'Next',
  'ObserveOptions',
  'Peer',
  'PeerClientOptions',
  'ReceivedAnswer',
  'Reply',
  'RequestOptions',
  'RouteAttributes',
  'TlsOptions',
  'Transport',
  'User',
  'defineKeys',
  'defineMiddleware',
  'isIopaError',
  'reply'
]

test('@iopa/appbuilder exports what an app needs, and nothing else', () => {
  const index = readFileSync(new URL('../src/index.ts', import.meta.url), 'utf8')
  const lists = [...index.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list = '']) => list.split(','))
  const names = lists.map(name => name.trim().replace(/^type |^.* as /g, '')).filter(name => name !== '')
  expect(names.sort()).toEqual(NAMES)
})
