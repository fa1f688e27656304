// Only seen with `skipLibCheck` off.
export declare const broken: Qwertz; // error TS2304
