// Every factory refuses an option that does not exist, by name.
import { App } from '@iopa/appbuilder'
import { allow, anyOf, apiKey, basic, bearer, clientCertificate, preSharedKey, rawPublicKey, securityContext } from '@iopa/auth'
import { cache, cacheControl } from '@iopa/cache'
import { cbor } from '@iopa/cbor'
import { coap } from '@iopa/coap'
import { coapProxy } from '@iopa/coap-proxy'
import { compress } from '@iopa/compress'
import { connect } from '@iopa/connect'
import { cookies, memorySessions, sessions } from '@iopa/cookies'
import { cors } from '@iopa/cors'
import { documents } from '@iopa/documents'
import { scalar } from '@iopa/documents/scalar'
import { dtls } from '@iopa/dtls'
import { forms } from '@iopa/forms'
import { http } from '@iopa/http'
import { toFetchHandler } from '@iopa/http/fetch'
import { toNodeHandler } from '@iopa/http/node'
import { log, requestId } from '@iopa/log'
import { mqtt } from '@iopa/mqtt'
import { bridge } from '@iopa/mqtt/bridge'
import { websocket } from '@iopa/mqtt/websocket'
import { oscore } from '@iopa/oscore'
import { rateLimit } from '@iopa/rate-limit'
import { redis } from '@iopa/rate-limit/redis'
import { resource } from '@iopa/resource'
import { router } from '@iopa/router'
import { secureHeaders } from '@iopa/secure-headers'
import { senml } from '@iopa/senml'
import { serveStatic } from '@iopa/static'
import { store } from '@iopa/store'
import { disk } from '@iopa/store/disk'
import { tcp } from '@iopa/tcp'
import { health, metrics, traces } from '@iopa/telemetry'
import { prometheus } from '@iopa/telemetry/prometheus'
import { memory } from '@iopa/testing'
import { udp } from '@iopa/udp'
import { expect, test } from 'vitest'

const FACTORIES: readonly [string, (options: never) => unknown][] = [
  ['App', options => new App(options)],
  ['cache()', cache],
  ['cacheControl()', cacheControl],
  ['A rule of allow()', options => allow([options])],
  ['anyOf()', options => anyOf([preSharedKey()], options)],
  ['apiKey()', apiKey],
  ['basic()', basic],
  ['bearer()', bearer],
  ['jwt of bearer()', options => bearer({ jwt: options })],
  ['clientCertificate()', clientCertificate],
  ['preSharedKey()', preSharedKey],
  ['rawPublicKey()', rawPublicKey],
  ['securityContext()', securityContext],
  ['cbor()', cbor],
  ['coap()', coap],
  ['coapProxy()', coapProxy],
  ['compress()', compress],
  ['cookies()', cookies],
  ['cors()', cors],
  ['connect()', options => connect(() => undefined, options)],
  ['documents()', documents],
  ['scalar()', scalar],
  ['dtls()', dtls],
  ['forms()', forms],
  ['http()', http],
  ['toFetchHandler()', options => toFetchHandler(new App(), options)],
  ['log()', log],
  ['requestId()', requestId],
  ['toNodeHandler()', options => toNodeHandler(new App(), options)],
  ['mqtt()', mqtt],
  ['bridge()', options => bridge('mqtt://127.0.0.1', options)],
  ['websocket()', websocket],
  ['oscore()', oscore],
  ['A context of oscore()', options => oscore({ contexts: [options] })],
  ['rateLimit()', rateLimit],
  ['redis()', options => redis({}, options)],
  ['router()', router],
  ['memorySessions()', memorySessions],
  ['secureHeaders()', secureHeaders],
  ['senml()', senml],
  ['sessions()', sessions],
  ['serveStatic()', options => serveStatic('.', options)],
  ['store()', options => store(resource('/a/{id}', { methods: { get: {} } }), options)],
  ['disk()', options => disk('data', options)],
  ['tcp()', tcp],
  ['health()', health],
  ['metrics()', metrics],
  ['traces()', traces],
  ['prometheus()', prometheus],
  ['memory()', memory],
  ['udp()', udp]
]

test.each(FACTORIES)('%s refuses an option that does not exist by its name', (name, factory) => {
  expect(() => factory({ prot: 1 } as never)).toThrow(
    expect.objectContaining({ status: 500, code: 'bad-option', detail: expect.stringContaining(`${name} has no option 'prot'`) })
  )
})

const GUARDED = { verify: () => null }
const JWT = { issuer: 'i', audience: 'a' }
const WRONG: readonly [string, () => unknown][] = [
  ['log fields', () => log({ fields: ['a'] } as never)],
  ['log skip', () => log({ skip: true } as never)],
  ['log headers', () => log({ headers: 'accept' } as never)],
  ['log redact', () => log({ redact: 'query.pin' } as never)],
  ['log connections', () => log({ connections: 'no' } as never)],
  ['log notifications', () => log({ notifications: 'no' } as never)],
  ['log to', () => log({ to: null } as never)],
  ['log sample', () => log({ sample: '1' } as never)],
  ['requestId header', () => requestId({ header: 5 } as never)],
  ['requestId trust', () => requestId({ trust: 'all' } as never)],
  ['rateLimit key', () => rateLimit({ limit: 1, key: 'ip' } as never)],
  ['rateLimit skip', () => rateLimit({ limit: 1, skip: true } as never)],
  ['rateLimit headers', () => rateLimit({ limit: 1, headers: 'no' } as never)],
  ['rateLimit store', () => rateLimit({ limit: 1, store: {} } as never)],
  ['apiKey header', () => apiKey({ ...GUARDED, header: 'a b' })],
  ['apiKey query', () => apiKey({ ...GUARDED, query: '' })],
  ['basic optional', () => basic({ ...GUARDED, optional: 'no' } as never)],
  ['basic remember', () => basic({ ...GUARDED, remember: '5' } as never)],
  ['bearer connectPassword', () => bearer({ ...GUARDED, connectPassword: 'no' } as never)],
  ['jwt secret', () => bearer({ jwt: { ...JWT, secret: 5 } } as never)],
  ['jwt algorithms', () => bearer({ jwt: { ...JWT, secret: 's'.repeat(32), algorithms: 'HS256' } } as never)],
  ['coap dtls', () => coap({ dtls: { psk: {} } } as never)],
  ['coap protect', () => coap({ protect: { contexts: [] } } as never)],
  ['coap udp', () => coap({ udp: 'no' } as never)],
  ['udp dtls', () => udp({ dtls: { psk: {} } } as never)],
  ['anyOf optional', () => anyOf([preSharedKey()], { optional: 'no' } as never)]
]

test.each(WRONG)('%s of the wrong type is refused', (_, make) => {
  expect(make).toThrow(expect.objectContaining({ code: 'bad-option' }))
})

test('coap() says what makes its dtls', () => {
  const detail = expect.stringContaining('coap() needs for dtls what dtls() of @iopa/dtls gives, dtls({ psk: { identity: key } }), not an object.')
  expect(() => coap({ dtls: { psk: {} } } as never)).toThrow(expect.objectContaining({ detail }))
})

test.each(['secure', 'httpOnly', 'partitioned'])("cookies and sessions refuse %s: 'false'", attribute => {
  expect(() => cookies({ [attribute]: 'false' })).toThrow(expect.objectContaining({ code: 'bad-cookie' }))
  expect(() => sessions({ cookie: { [attribute]: 'false' } })).toThrow(expect.objectContaining({ code: 'bad-cookie' }))
})
