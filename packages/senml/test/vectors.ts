// The examples of RFC 8428 section 5 and 6.
import type { PackRecord, SenmlRecord } from '@iopa/senml'

export interface Example {
  readonly section: string
  readonly pack: readonly PackRecord[]
  readonly records: readonly SenmlRecord[]
}

/** Milliseconds since 1970 for the records without an absolute time. */
export const NOW = 1_700_000_000_000
const now = NOW / 1000

const DEVICE = 'urn:dev:ow:10e2073a01080063'

const MOBILE: readonly (readonly [time: number, unit: string, value: number])[] = [
  [0, '%RH', 20],
  [0, 'lon', 24.30621],
  [0, 'lat', 60.07965],
  [60, '%RH', 20.3],
  [60, 'lon', 24.30622],
  [60, 'lat', 60.07965],
  [120, '%RH', 20.7],
  [120, 'lon', 24.30623],
  [120, 'lat', 60.07966],
  [150, '%EL', 98],
  [180, '%RH', 21.2],
  [180, 'lon', 24.30628],
  [180, 'lat', 60.07967]
]
const STARTED = 1.320067464e9

/** Example 3, which section 6 has in CBOR as well. */
export const CURRENTS: readonly PackRecord[] = [
  { bn: 'urn:dev:ow:10e2073a0108006:', bt: 1.276020076001e9, bu: 'A', bver: 5, n: 'voltage', u: 'V', v: 120.1 },
  { n: 'current', t: -5, v: 1.2 },
  { n: 'current', t: -4, v: 1.3 },
  { n: 'current', t: -3, v: 1.4 },
  { n: 'current', t: -2, v: 1.5 },
  { n: 'current', t: -1, v: 1.6 },
  { n: 'current', v: 1.7 }
]

/** Section 6, as hexadecimal digits. */
export const CURRENTS_CBOR: string = [
  '87a721781b75726e3a6465763a6f773a31306532303733613031303830303',
  '63a22fb41d303a15b00106223614120050067766f6c7461676501615602fb405e066666666666',
  'a3006763757272656e74062402fb3ff3333333333333',
  'a3006763757272656e74062302fb3ff4cccccccccccd',
  'a3006763757272656e74062202fb3ff6666666666666',
  'a3006763757272656e74062102f93e00',
  'a3006763757272656e74062002fb3ff999999999999a',
  'a3006763757272656e74060002fb3ffb333333333333'
].join('')

export const EXAMPLES: readonly Example[] = [
  {
    section: '5.1.1 single data point',
    pack: [{ n: DEVICE, u: 'Cel', v: 23.1 }],
    records: [{ n: DEVICE, u: 'Cel', v: 23.1, t: now }]
  },
  {
    section: '5.1.2 multiple data points, now',
    pack: [
      { bn: `${DEVICE}:`, n: 'voltage', u: 'V', v: 120.1 },
      { n: 'current', u: 'A', v: 1.2 }
    ],
    records: [
      { n: `${DEVICE}:voltage`, u: 'V', v: 120.1, t: now },
      { n: `${DEVICE}:current`, u: 'A', v: 1.2, t: now }
    ]
  },
  {
    section: '5.1.2 multiple data points over time',
    pack: CURRENTS,
    records: [
      ...[1.2, 1.3, 1.4, 1.5, 1.6].map((v, index) => ({
        n: 'urn:dev:ow:10e2073a0108006:current',
        u: 'A',
        v,
        t: 1.276020076001e9 - 5 + index,
        bver: 5
      })),
      { n: 'urn:dev:ow:10e2073a0108006:voltage', u: 'V', v: 120.1, t: 1.276020076001e9, bver: 5 },
      { n: 'urn:dev:ow:10e2073a0108006:current', u: 'A', v: 1.7, t: 1.276020076001e9, bver: 5 }
    ]
  },
  {
    section: '5.1.3 and 5.1.4 multiple measurements, and resolved',
    pack: MOBILE.map(([t, u, v], index) => ({
      ...(index === 0 ? { bn: DEVICE, bt: STARTED, bu: '%RH' } : {}),
      ...(u === '%RH' ? {} : { u }),
      ...(t === 0 ? {} : { t }),
      v
    })),
    records: MOBILE.map(([t, u, v]) => ({ n: DEVICE, u, v, t: STARTED + t }))
  },
  {
    section: '5.1.5 multiple data types',
    pack: [
      { bn: `${DEVICE}:`, n: 'temp', u: 'Cel', v: 23.1 },
      { n: 'label', vs: 'Machine Room' },
      { n: 'open', vb: false },
      { n: 'nfc-reader', vd: 'aGkgCg' }
    ],
    records: [
      { n: `${DEVICE}:temp`, u: 'Cel', v: 23.1, t: now },
      { n: `${DEVICE}:label`, vs: 'Machine Room', t: now },
      { n: `${DEVICE}:open`, vb: false, t: now },
      { n: `${DEVICE}:nfc-reader`, vd: 'aGkgCg', t: now }
    ]
  },
  {
    section: '5.1.6 collection of resources',
    pack: [
      { bn: '2001:db8::2/', bt: 1.320078429e9, n: 'temperature', u: 'Cel', v: 25.2 },
      { n: 'humidity', u: '%RH', v: 30 },
      { bn: '2001:db8::1/', n: 'temperature', u: 'Cel', v: 12.3 },
      { n: 'humidity', u: '%RH', v: 67 }
    ],
    records: [
      { n: '2001:db8::2/temperature', u: 'Cel', v: 25.2, t: 1.320078429e9 },
      { n: '2001:db8::2/humidity', u: '%RH', v: 30, t: 1.320078429e9 },
      { n: '2001:db8::1/temperature', u: 'Cel', v: 12.3, t: 1.320078429e9 },
      { n: '2001:db8::1/humidity', u: '%RH', v: 67, t: 1.320078429e9 }
    ]
  },
  {
    section: '5.1.7 setting an actuator',
    pack: [
      { bt: 1.320078429e9, bu: '/', n: '2001:db8::3', v: 0.5 },
      { n: '2001:db8::4', v: 0.5 },
      { n: '2001:db8::3', t: 0.1, v: 0 },
      { n: '2001:db8::4', t: 0.1, v: 0 }
    ],
    records: [
      { n: '2001:db8::3', u: '/', v: 0.5, t: 1.320078429e9 },
      { n: '2001:db8::4', u: '/', v: 0.5, t: 1.320078429e9 },
      { n: '2001:db8::3', u: '/', v: 0, t: 1320078429.1 },
      { n: '2001:db8::4', u: '/', v: 0, t: 1320078429.1 }
    ]
  }
]
