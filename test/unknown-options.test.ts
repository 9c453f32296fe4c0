// Every factory refuses an option that does not exist, by name.
import { App } from '@iopa/appbuilder'
import { cbor } from '@iopa/cbor'
import { coap } from '@iopa/coap'
import { connect } from '@iopa/connect'
import { documents } from '@iopa/documents'
import { scalar } from '@iopa/documents/scalar'
import { http } from '@iopa/http'
import { toFetchHandler } from '@iopa/http/fetch'
import { toNodeHandler } from '@iopa/http/node'
import { mqtt } from '@iopa/mqtt'
import { bridge } from '@iopa/mqtt/bridge'
import { websocket } from '@iopa/mqtt/websocket'
import { resource } from '@iopa/resource'
import { router } from '@iopa/router'
import { senml } from '@iopa/senml'
import { serveStatic } from '@iopa/static'
import { store } from '@iopa/store'
import { disk } from '@iopa/store/disk'
import { tcp } from '@iopa/tcp'
import { memory } from '@iopa/testing'
import { udp } from '@iopa/udp'
import { expect, test } from 'vitest'

const FACTORIES: readonly [string, (options: never) => unknown][] = [
  ['App', options => new App(options)],
  ['cbor()', cbor],
  ['coap()', coap],
  ['connect()', options => connect(() => undefined, options)],
  ['documents()', documents],
  ['scalar()', scalar],
  ['http()', http],
  ['toFetchHandler()', options => toFetchHandler(new App(), options)],
  ['toNodeHandler()', options => toNodeHandler(new App(), options)],
  ['mqtt()', mqtt],
  ['bridge()', options => bridge('mqtt://127.0.0.1', options)],
  ['websocket()', websocket],
  ['router()', router],
  ['senml()', senml],
  ['serveStatic()', options => serveStatic('.', options)],
  ['store()', options => store(resource('/a/{id}', { methods: { get: {} } }), options)],
  ['disk()', options => disk('data', options)],
  ['tcp()', tcp],
  ['memory()', memory],
  ['udp()', udp]
]

test.each(FACTORIES)('%s refuses an option that does not exist by its name', (name, factory) => {
  expect(() => factory({ prot: 1 } as never)).toThrow(
    expect.objectContaining({ status: 500, code: 'bad-option', detail: expect.stringContaining(`${name} has no option 'prot'`) })
  )
})
