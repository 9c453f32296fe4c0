import { defineKeys, type KeysDeclaration } from '@iopa/transport'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** Of the client that sends: its client identifier. On every context of a connection. */
    'mqtt.ClientId': string
    /** 3 (MQTT 3.1), 4 (3.1.1) or 5. On every context of a connection. */
    'mqtt.ProtocolVersion': number
    /** CONNECT: the client asks for a session without a past. */
    'mqtt.CleanStart': boolean
    /** CONNECT: seconds, 0 for none. */
    'mqtt.KeepAlive': number
    /** CONNECT: the user name, which may hold a colon. Undefined without one, and once the client is accepted. */
    'mqtt.UserName': string | undefined
    /** CONNECT: the password. Undefined without one, and once the client is accepted. */
    'mqtt.Password': Uint8Array | undefined
    /** CONNECT: the method of enhanced authentication, if any (MQTT 5 section 4.12). */
    'mqtt.AuthenticationMethod': string
    /** CONNECT: the client's data of this step of enhanced authentication. */
    'mqtt.AuthenticationData': Uint8Array
    /** PUBLISH: the topic name, not decoded. */
    'mqtt.Topic': string
    /** PUBLISH, SUBSCRIBE: 0, 1 or 2. */
    'mqtt.Qos': number
    /** PUBLISH: the message is to be retained. */
    'mqtt.Retain': boolean
    /** PUBLISH: the client may have sent this message before. */
    'mqtt.Dup': boolean
    /** PUBLISH: where the client wants the answer. */
    'mqtt.ResponseTopic': string
    /** PUBLISH: what the answer carries back to the client. */
    'mqtt.CorrelationData': Uint8Array
    /** PUBLISH: true when the broker sends it on behalf of a client that is gone. */
    'mqtt.IsWill': boolean
    /** SUBSCRIBE, UNSUBSCRIBE: the topic filter as asked for, `$share/<group>/` included. */
    'mqtt.Filter': string
    /** DISCONNECT: the reason code that the client gave, or that the broker found (MQTT 5 section 3.14.2.1). */
    'mqtt.ReasonCode': number
  }
}

/** The keys of this package, which the transport declares for its app. */
export const MQTT_KEYS: KeysDeclaration = defineKeys('mqtt', {
  owner: '@iopa/mqtt',
  keys: {
    ClientId: { doc: 'Client identifier of the sender' },
    ProtocolVersion: { doc: '3, 4 or 5' },
    CleanStart: { doc: 'CONNECT asks for a session without a past' },
    KeepAlive: { doc: 'Seconds, 0 for none' },
    UserName: { doc: 'User name of CONNECT' },
    Password: { doc: 'Password of CONNECT', redact: true },
    AuthenticationMethod: { doc: 'Method of enhanced authentication' },
    AuthenticationData: { doc: 'Data of one step of enhanced authentication', redact: true },
    Topic: { doc: 'Topic name, not decoded' },
    Qos: { doc: 'Quality of service, 0 to 2' },
    Retain: { doc: 'The message is to be retained' },
    Dup: { doc: 'The client may have sent this message before' },
    ResponseTopic: { doc: 'Where the answer goes' },
    CorrelationData: { doc: 'What the answer carries back' },
    IsWill: { doc: 'Sent on behalf of a client that is gone' },
    Filter: { doc: 'Topic filter as asked for' },
    ReasonCode: { doc: 'Why the connection ended' }
  }
})
