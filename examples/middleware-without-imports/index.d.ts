declare module '@iopa/appbuilder' {
  interface IopaKeys {
    /** Id of the request, for logs. */
    'requestid.Value': string
  }
}

interface RequestIdMiddleware {
  (context: object, next: () => Promise<unknown>): unknown
  readonly provides: readonly 'requestid.Value'[]
}

/** Takes the request's id from `header` (`x-request-id` unless given), or makes one. */
export declare const requestId: (options?: { header?: string }) => RequestIdMiddleware
