"""What six standards resolve to, as published: every timing of a grade and organisation, every rule row in ticks.

Source: Ramulator 2.1 (CMU-SAFARI/ramulator2, commit c5b1c3a), resolved tables and constraint rows.
"""

# standard: {(speed grade, organisation): {timing: value}}
TIMINGS = {
    "ddr4": {
        ("DDR4_2400R", "DDR4_8Gb_x8"): {
            "rate": 2400,
            "n_bl": 4,
            "n_cl": 16,
            "n_rcd": 16,
            "n_rp": 16,
            "n_ras": 39,
            "n_rc": 55,
            "n_wr": 18,
            "n_rtp": 9,
            "n_cwl": 12,
            "n_ccds": 4,
            "n_ccdl": 6,
            "n_rrds": 4,
            "n_rrdl": 6,
            "n_wtrs": 3,
            "n_wtrl": 9,
            "n_faw": 26,
            "n_rfc": 433,
            "n_refi": 9364,
            "n_cs": 2,
            "tck_ps": 833,
        },
        ("DDR4_3200AA", "DDR4_16Gb_x16"): {
            "rate": 3200,
            "n_bl": 4,
            "n_cl": 22,
            "n_rcd": 22,
            "n_rp": 22,
            "n_ras": 52,
            "n_rc": 74,
            "n_wr": 24,
            "n_rtp": 12,
            "n_cwl": 16,
            "n_ccds": 4,
            "n_ccdl": 8,
            "n_rrds": 9,
            "n_rrdl": 11,
            "n_wtrs": 4,
            "n_wtrl": 12,
            "n_faw": 48,
            "n_rfc": 880,
            "n_refi": 12480,
            "n_cs": 2,
            "tck_ps": 625,
        },
    },
    "ddr5": {
        ("DDR5_4800AN", "DDR5_16Gb_x8"): {
            "rate": 4800,
            "n_bl": 8,
            "n_cl": 34,
            "n_rcd": 34,
            "n_rp": 34,
            "n_ras": 77,
            "n_rc": 111,
            "n_wr": 72,
            "n_rtp": 18,
            "n_cwl": 32,
            "n_ppd": 2,
            "n_ccds": 8,
            "n_ccdl": 12,
            "n_ccds_wr": 8,
            "n_ccdl_wr": 48,
            "n_rrds": 8,
            "n_rrdl": 12,
            "n_wtrs": 6,
            "n_wtrl": 24,
            "n_faw": 48,
            "n_rfc": 710,
            "n_refi": 9375,
            "n_cs": 2,
            "tck_ps": 416,
        },
        ("DDR5_3200AN", "DDR5_16Gb_x4"): {
            "rate": 3200,
            "n_bl": 8,
            "n_cl": 24,
            "n_rcd": 24,
            "n_rp": 24,
            "n_ras": 52,
            "n_rc": 76,
            "n_wr": 48,
            "n_rtp": 12,
            "n_cwl": 22,
            "n_ppd": 2,
            "n_ccds": 8,
            "n_ccdl": 8,
            "n_ccds_wr": 8,
            "n_ccdl_wr": 32,
            "n_rrds": 8,
            "n_rrdl": 5,
            "n_wtrs": 6,
            "n_wtrl": 16,
            "n_faw": 32,
            "n_rfc": 472,
            "n_refi": 6240,
            "n_cs": 2,
            "tck_ps": 625,
        },
        ("DDR5_6400AN", "DDR5_32Gb_x16"): {
            "rate": 6400,
            "n_bl": 8,
            "n_cl": 46,
            "n_rcd": 46,
            "n_rp": 46,
            "n_ras": 103,
            "n_rc": 149,
            "n_wr": 96,
            "n_rtp": 24,
            "n_cwl": 44,
            "n_ppd": 2,
            "n_ccds": 8,
            "n_ccdl": 16,
            "n_ccds_wr": 8,
            "n_ccdl_wr": 64,
            "n_rrds": 16,
            "n_rrdl": 16,
            "n_wtrs": 5,
            "n_wtrl": 32,
            "n_faw": 80,
            "n_rfc": 1315,
            "n_refi": 12500,
            "n_cs": 2,
            "tck_ps": 312,
        },
    },
    "lpddr5": {
        ("LPDDR5_6400", "LPDDR5_8Gb_x16"): {
            "rate": 6400,
            "n_bl_min": 2,
            "n_bl_max": 4,
            "n_cl": 17,
            "n_rcd": 15,
            "n_rp": 15,
            "n_rpab": 17,
            "n_ras": 34,
            "n_rc": 49,
            "n_wr": 28,
            "n_rtp": 8,
            "n_cwl": 9,
            "n_ppd": 2,
            "n_ccds": 2,
            "n_ccdl": 4,
            "n_ccds_wr": 2,
            "n_ccdl_wr": 4,
            "n_rrds": 4,
            "n_rrdl": 4,
            "n_wtrs": 5,
            "n_wtrl": 10,
            "n_faw": 16,
            "n_rfc": 168,
            "n_rfcpb": 96,
            "n_refi": 3125,
            "n_refipb": 391,
            "n_wckpst": 1,
            "n_cas": 0,
            "n_aad": 8,
            "n_cs": 2,
            "tck_ps": 1250,
            "n_pbr2pbr": 72,
            "n_pbr2act": 6,
        },
        ("LPDDR5_6400", "LPDDR5_16Gb_x16"): {
            "rate": 6400,
            "n_bl_min": 2,
            "n_bl_max": 4,
            "n_cl": 17,
            "n_rcd": 15,
            "n_rp": 15,
            "n_rpab": 17,
            "n_ras": 34,
            "n_rc": 49,
            "n_wr": 28,
            "n_rtp": 8,
            "n_cwl": 9,
            "n_ppd": 2,
            "n_ccds": 2,
            "n_ccdl": 4,
            "n_ccds_wr": 2,
            "n_ccdl_wr": 4,
            "n_rrds": 4,
            "n_rrdl": 4,
            "n_wtrs": 5,
            "n_wtrl": 10,
            "n_faw": 16,
            "n_rfc": 224,
            "n_rfcpb": 112,
            "n_refi": 3125,
            "n_refipb": 391,
            "n_wckpst": 1,
            "n_cas": 0,
            "n_aad": 8,
            "n_cs": 2,
            "tck_ps": 1250,
            "n_pbr2pbr": 72,
            "n_pbr2act": 6,
        },
    },
    "gddr6": {
        ("GDDR6_14000_1350mV_double", "GDDR6_8Gb_x16"): {
            "rate": 14000,
            "n_bl": 2,
            "n_cl": 24,
            "n_rcdrd": 27,
            "n_rcdwr": 16,
            "n_rp": 27,
            "n_ras": 53,
            "n_rc": 79,
            "n_wr": 27,
            "n_rtp": 4,
            "n_cwl": 6,
            "n_ccds": 2,
            "n_ccdl": 4,
            "n_rrds": 8,
            "n_rrdl": 8,
            "n_wtrs": 9,
            "n_wtrl": 11,
            "n_faw": 29,
            "n_rfcpb": 106,
            "n_rrefd": 15,
            "n_refi": 3333,
            "tck_ps": 570,
            "n_rfcab": 211,
            "n_ppd": 1,
        },
        ("GDDR6_14000_1250mV_double", "GDDR6_16Gb_x16"): {
            "rate": 14000,
            "n_bl": 2,
            "n_cl": 24,
            "n_rcdrd": 30,
            "n_rcdwr": 20,
            "n_rp": 30,
            "n_ras": 60,
            "n_rc": 90,
            "n_wr": 30,
            "n_rtp": 4,
            "n_cwl": 6,
            "n_ccds": 2,
            "n_ccdl": 4,
            "n_rrds": 11,
            "n_rrdl": 11,
            "n_wtrs": 9,
            "n_wtrl": 11,
            "n_faw": 43,
            "n_rfcpb": 106,
            "n_rrefd": 22,
            "n_refi": 3333,
            "tck_ps": 570,
            "n_rfcab": 211,
            "n_ppd": 2,
        },
    },
    "hbm2": {
        ("HBM2_2000Mbps", "HBM2_8Gb"): {
            "rate": 2000,
            "n_bl": 2,
            "n_cl": 14,
            "n_rcdrd": 14,
            "n_rcdwr": 12,
            "n_rp": 14,
            "n_ras": 34,
            "n_rc": 48,
            "n_wr": 16,
            "n_rtpl": 5,
            "n_cwl": 5,
            "n_ccds": 2,
            "n_ccdl": 4,
            "n_rrds": 4,
            "n_rrdl": 4,
            "n_wtrs": 6,
            "n_wtrl": 8,
            "n_faw": 15,
            "n_rfc": 350,
            "n_rfcpb": 160,
            "n_rrefd": 8,
            "n_refi": 3900,
            "n_refipb": 122,
            "tck_ps": 1000,
        },
        ("HBM2_2400Mbps", "HBM2_4Gb"): {
            "rate": 2400,
            "n_bl": 2,
            "n_cl": 17,
            "n_rcdrd": 17,
            "n_rcdwr": 14,
            "n_rp": 17,
            "n_ras": 40,
            "n_rc": 57,
            "n_wr": 19,
            "n_rtpl": 6,
            "n_cwl": 6,
            "n_ccds": 2,
            "n_ccdl": 4,
            "n_rrds": 5,
            "n_rrdl": 5,
            "n_wtrs": 8,
            "n_wtrl": 10,
            "n_faw": 19,
            "n_rfc": 313,
            "n_rfcpb": 193,
            "n_rrefd": 10,
            "n_refi": 4682,
            "n_refipb": 147,
            "tck_ps": 833,
        },
        ("HBM2_1600Mbps", "HBM2_1Gb"): {
            "rate": 1600,
            "n_bl": 2,
            "n_cl": 10,
            "n_rcdrd": 10,
            "n_rcdwr": 8,
            "n_rp": 10,
            "n_ras": 24,
            "n_rc": 34,
            "n_wr": 12,
            "n_rtpl": 4,
            "n_cwl": 4,
            "n_ccds": 2,
            "n_ccdl": 4,
            "n_rrds": 4,
            "n_rrdl": 4,
            "n_wtrs": 5,
            "n_wtrl": 6,
            "n_faw": 12,
            "n_rfc": 88,
            "n_rfcpb": 128,
            "n_rrefd": 7,
            "n_refi": 3120,
            "n_refipb": 98,
            "tck_ps": 1250,
        },
    },
    "hbm3": {
        ("HBM3_6400Mbps", "HBM3_16Gb_8hi"): {
            "rate": 6400,
            "n_bl": 2,
            "n_cl": 20,
            "n_rcdrd": 31,
            "n_rcdwr": 15,
            "n_rp": 26,
            "n_ras": 45,
            "n_rc": 72,
            "n_wr": 33,
            "n_rtp": 9,
            "n_cwl": 10,
            "n_ccds": 2,
            "n_ccdl": 4,
            "n_ccdr": 3,
            "n_rrds": 4,
            "n_rrdl": 5,
            "n_wtrs": 7,
            "n_wtrl": 10,
            "n_rtw": 20,
            "n_faw": 24,
            "n_ppd": 2,
            "n_rfc": 560,
            "n_rfcpb": 320,
            "n_rfmab": 560,
            "n_rfmpb": 320,
            "n_rrefd": 8,
            "n_refi": 6240,
            "n_refipb": 195,
            "tck_ps": 625,
        },
        ("HBM3_6400Mbps", "HBM3_4Gb"): {
            "rate": 6400,
            "n_bl": 2,
            "n_cl": 20,
            "n_rcdrd": 31,
            "n_rcdwr": 15,
            "n_rp": 26,
            "n_ras": 45,
            "n_rc": 72,
            "n_wr": 33,
            "n_rtp": 9,
            "n_cwl": 10,
            "n_ccds": 2,
            "n_ccdl": 4,
            "n_ccdr": 3,
            "n_rrds": 4,
            "n_rrdl": 5,
            "n_wtrs": 7,
            "n_wtrl": 10,
            "n_rtw": 20,
            "n_faw": 24,
            "n_ppd": 2,
            "n_rfc": 416,
            "n_rfcpb": 320,
            "n_rfmab": 416,
            "n_rfmpb": 320,
            "n_rrefd": 8,
            "n_refi": 6240,
            "n_refipb": 390,
            "tck_ps": 625,
        },
        ("HBM3_6400Mbps", "HBM3_32Gb_16hi"): {
            "rate": 6400,
            "n_bl": 2,
            "n_cl": 20,
            "n_rcdrd": 31,
            "n_rcdwr": 15,
            "n_rp": 26,
            "n_ras": 45,
            "n_rc": 72,
            "n_wr": 33,
            "n_rtp": 9,
            "n_cwl": 10,
            "n_ccds": 2,
            "n_ccdl": 4,
            "n_ccdr": 3,
            "n_rrds": 4,
            "n_rrdl": 5,
            "n_wtrs": 7,
            "n_wtrl": 10,
            "n_rtw": 20,
            "n_faw": 24,
            "n_ppd": 2,
            "n_rfc": 560,
            "n_rfcpb": 320,
            "n_rfmab": 560,
            "n_rfmpb": 320,
            "n_rrefd": 8,
            "n_refi": 6240,
            "n_refipb": 98,
            "tck_ps": 625,
        },
    },
}

# Rows of the first grade above: level | preceding | following | ticks (by following command) | window | sibling.
# R* stands for RD and RDA, W* for WR and WRA.
ROWS = {
    "ddr4": """
        channel | R* | R* | 4 | 1 | 0
        channel | W* | W* | 4 | 1 | 0
        rank | R* | R* | 4 | 1 | 0
        rank | W* | W* | 4 | 1 | 0
        rank | R* | W* | 10 | 1 | 0
        rank | W* | R* | 19 | 1 | 0
        rank | R* | R* W* | 6 | 1 | 1
        rank | W* | R* | 2 | 1 | 1
        rank | RD | PREab | 9 | 1 | 0
        rank | WR | PREab | 34 | 1 | 0
        rank | ACT | ACT | 4 | 1 | 0
        rank | ACT | ACT | 26 | 4 | 0
        rank | ACT | PREab | 39 | 1 | 0
        rank | PREab | ACT | 16 | 1 | 0
        rank | ACT | REFab | 55 | 1 | 0
        rank | PREpb PREab | REFab | 16 | 1 | 0
        rank | RDA | REFab | 25 | 1 | 0
        rank | WRA | REFab | 50 | 1 | 0
        rank | REFab | ACT PREab | 433 | 1 | 0
        bank_group | R* | R* | 6 | 1 | 0
        bank_group | W* | W* | 6 | 1 | 0
        bank_group | W* | R* | 25 | 1 | 0
        bank_group | ACT | ACT | 6 | 1 | 0
        bank | ACT | ACT | 55 | 1 | 0
        bank | ACT | R* W* | 16 | 1 | 0
        bank | ACT | PREpb | 39 | 1 | 0
        bank | PREpb | ACT | 16 | 1 | 0
        bank | RD | PREpb | 9 | 1 | 0
        bank | WR | PREpb | 34 | 1 | 0
        bank | RDA | ACT | 25 | 1 | 0
        bank | WRA | ACT | 50 | 1 | 0
    """,
    "ddr5": """
        channel | R* | R* | 8 | 1 | 0
        channel | W* | W* | 8 | 1 | 0
        rank | R* | R* | 8 | 1 | 0
        rank | W* | W* | 8 | 1 | 0
        rank | R* | W* | 14 | 1 | 0
        rank | W* | R* | 46 | 1 | 0
        rank | R* | R* W* | 10 | 1 | 1
        rank | W* | R* | 8 | 1 | 1
        rank | RD | PREab | 19 | 1 | 0
        rank | WR | PREab | 113 | 1 | 0
        rank | ACT | ACT | 8 | 1 | 0
        rank | ACT | ACT | 48 | 4 | 0
        rank | ACT | PREab | 78 | 1 | 0
        rank | PREab | ACT | 33 | 1 | 0
        rank | PREpb PREab | PREpb PREab | 2 | 1 | 0
        rank | ACT | REFab | 112 | 1 | 0
        rank | PREpb PREab | REFab | 34 | 1 | 0
        rank | RDA | REFab | 53 | 1 | 0
        rank | WRA | REFab | 147 | 1 | 0
        rank | REFab | ACT PREab | 709 (ACT); 710 (PREab) | 1 | 0
        bank_group | R* | R* | 12 | 1 | 0
        bank_group | W* | W* | 48 | 1 | 0
        bank_group | W* | R* | 64 | 1 | 0
        bank_group | ACT | ACT | 12 | 1 | 0
        bank | ACT | ACT | 111 | 1 | 0
        bank | ACT | R* W* | 34 | 1 | 0
        bank | ACT | PREpb | 78 | 1 | 0
        bank | PREpb | ACT | 33 | 1 | 0
        bank | RD | PREpb | 19 | 1 | 0
        bank | WR | PREpb | 113 | 1 | 0
        bank | RDA | ACT | 52 | 1 | 0
        bank | WRA | ACT | 146 | 1 | 0
        channel | ACT RD WR RDA WRA | ACT PREpb PREab RD WR RDA WRA REFab | 2 | 1 | 0
    """,
    "lpddr5": """
        channel | R* | R* | 2 | 1 | 0
        channel | W* | W* | 2 | 1 | 0
        bank | CAS_RD | R* | 0 | 1 | 0
        bank | CAS_WR | W* | 0 | 1 | 0
        rank | R* | R* | 2 | 1 | 0
        rank | W* | W* | 2 | 1 | 0
        rank | R* | W* | 12 | 1 | 0
        rank | W* | R* | 16 | 1 | 0
        rank | R* | R* W* | 4 | 1 | 1
        rank | W* | R* | 12 | 1 | 1
        rank | RD | PREab | 8 | 1 | 0
        rank | WR | PREab | 39 | 1 | 0
        rank | ACT1 | ACT1 | 4 | 1 | 0
        rank | ACT1 | ACT1 | 16 | 4 | 0
        rank | ACT1 | PREab | 34 | 1 | 0
        rank | PREab | ACT1 | 17 | 1 | 0
        rank | PREpb PREab | PREpb PREab | 2 | 1 | 0
        rank | ACT1 | REFab | 49 | 1 | 0
        rank | PREpb PREab | REFab | 15 | 1 | 0
        rank | RDA | REFab | 23 | 1 | 0
        rank | WRA | REFab | 54 | 1 | 0
        rank | REFab | ACT1 PREab REFpb REFab | 168 | 1 | 0
        rank | REFpb | REFpb | 72 | 1 | 0
        rank | REFpb | REFab | 96 | 1 | 0
        rank | REFpb | ACT1 | 6 | 1 | 0
        bank_group | R* | R* | 4 | 1 | 0
        bank_group | W* | W* | 4 | 1 | 0
        bank_group | W* | R* | 23 | 1 | 0
        bank_group | ACT1 | ACT1 | 4 | 1 | 0
        bank | ACT1 | ACT1 | 49 | 1 | 0
        bank | ACT1 | R* W* | 15 | 1 | 0
        bank | ACT1 | PREpb | 34 | 1 | 0
        bank | PREpb | ACT1 | 15 | 1 | 0
        bank | RD | PREpb | 8 | 1 | 0
        bank | WR | PREpb | 39 | 1 | 0
        bank | RDA | ACT1 | 23 | 1 | 0
        bank | WRA | ACT1 | 54 | 1 | 0
        bank | REFpb | ACT1 | 96 | 1 | 0
        bank | ACT1 | REFpb | 49 | 1 | 0
        bank | PREpb | REFpb | 15 | 1 | 0
    """,
    "gddr6": """
        channel | R* | R* | 2 | 1 | 0
        channel | W* | W* | 2 | 1 | 0
        channel | R* | R* | 2 | 1 | 0
        channel | W* | W* | 2 | 1 | 0
        channel | R* | W* | 25 | 1 | 0
        channel | W* | R* | 17 | 1 | 0
        channel | RD | PREab | 4 | 1 | 0
        channel | WR | PREab | 35 | 1 | 0
        channel | ACT | ACT | 8 | 1 | 0
        channel | ACT | ACT REFpb | 29 | 4 | 0
        channel | REFpb | ACT REFpb | 29 | 4 | 0
        channel | ACT | PREab | 53 | 1 | 0
        channel | PREab | ACT | 27 | 1 | 0
        channel | PREab PREpb | PREab PREpb | 1 | 1 | 0
        channel | ACT | REFab | 79 | 1 | 0
        channel | PREab | REFab | 27 | 1 | 0
        channel | RDA | REFab | 31 | 1 | 0
        channel | WRA | REFab | 62 | 1 | 0
        channel | REFab | ACT PREab PREpb RD WR RDA WRA REFab REFpb | 211 | 1 | 0
        channel | ACT | REFpb | 8 | 1 | 0
        channel | PREab | REFpb | 27 | 1 | 0
        channel | RDA | REFpb | 31 | 1 | 0
        channel | WRA | REFpb | 62 | 1 | 0
        channel | REFpb | ACT | 15 | 1 | 0
        channel | REFpb | REFpb | 15 | 1 | 0
        channel | REFpb | REFab | 106 | 1 | 0
        bank_group | R* | R* | 4 | 1 | 0
        bank_group | W* | W* | 4 | 1 | 0
        bank_group | W* | R* | 19 | 1 | 0
        bank_group | ACT | ACT REFpb | 8 | 1 | 0
        bank | ACT | ACT | 79 | 1 | 0
        bank | ACT | R* | 27 | 1 | 0
        bank | ACT | W* | 16 | 1 | 0
        bank | ACT | PREpb | 53 | 1 | 0
        bank | PREpb | ACT | 27 | 1 | 0
        bank | RD | PREpb | 4 | 1 | 0
        bank | WR | PREpb | 35 | 1 | 0
        bank | RDA | ACT | 31 | 1 | 0
        bank | WRA | ACT | 62 | 1 | 0
        bank | ACT | REFpb | 79 | 1 | 0
        bank | PREpb | REFpb | 27 | 1 | 0
        bank | RDA | REFpb | 31 | 1 | 0
        bank | WRA | REFpb | 62 | 1 | 0
        bank | REFpb | ACT REFpb | 106 | 1 | 0
    """,
    "hbm2": """
        pseudo_channel | R* | R* | 2 | 1 | 0
        pseudo_channel | W* | W* | 2 | 1 | 0
        pseudo_channel | R* | R* | 2 | 1 | 0
        pseudo_channel | W* | W* | 2 | 1 | 0
        pseudo_channel | R* | W* | 13 | 1 | 0
        pseudo_channel | W* | R* | 13 | 1 | 0
        pseudo_channel | RD | PREab | 5 | 1 | 0
        pseudo_channel | WR | PREab | 23 | 1 | 0
        pseudo_channel | ACT | ACT | 4 | 1 | 0
        pseudo_channel | ACT | ACT | 15 | 4 | 0
        pseudo_channel | ACT | PREab | 35 | 1 | 0
        pseudo_channel | PREab | ACT | 13 | 1 | 0
        pseudo_channel | ACT | REFab | 49 | 1 | 0
        pseudo_channel | PREpb PREab | REFab | 14 | 1 | 0
        pseudo_channel | RDA | REFab | 19 | 1 | 0
        pseudo_channel | WRA | REFab | 37 | 1 | 0
        pseudo_channel | REFab | ACT PREab | 349 (ACT); 350 (PREab) | 1 | 0
        pseudo_channel | REFpb | ACT | 7 | 1 | 0
        pseudo_channel | ACT | REFpb | 5 | 1 | 0
        bank_group | R* | R* | 4 | 1 | 0
        bank_group | W* | W* | 4 | 1 | 0
        bank_group | W* | R* | 15 | 1 | 0
        bank_group | ACT | ACT | 4 | 1 | 0
        bank | ACT | ACT | 48 | 1 | 0
        bank | ACT | R* | 15 | 1 | 0
        bank | ACT | W* | 13 | 1 | 0
        bank | ACT | PREpb | 35 | 1 | 0
        bank | PREpb | ACT | 13 | 1 | 0
        bank | RD | PREpb | 5 | 1 | 0
        bank | WR | PREpb | 23 | 1 | 0
        bank | RDA | ACT | 18 | 1 | 0
        bank | WRA | ACT | 36 | 1 | 0
        bank | REFpb | ACT | 159 | 1 | 0
        bank | ACT | REFpb | 49 | 1 | 0
        bank | PREpb | REFpb | 14 | 1 | 0
        channel | ACT | ACT PREpb PREab REFab REFpb | 2 | 1 | 0
    """,
    "hbm3": """
        pseudo_channel | R* | R* | 4 | 1 | 0
        pseudo_channel | W* | W* | 4 | 1 | 0
        pseudo_channel | R* | W* | 40 | 1 | 0
        pseudo_channel | W* | R* | 38 | 1 | 0
        pseudo_channel | RD | PREab | 19 | 1 | 0
        pseudo_channel | WR | PREab | 91 | 1 | 0
        pseudo_channel | ACT | ACT | 8 | 1 | 0
        pseudo_channel | ACT | ACT | 48 | 4 | 0
        pseudo_channel | ACT | PREab | 92 | 1 | 0
        pseudo_channel | PREab | ACT | 50 | 1 | 0
        pseudo_channel | PREpb PREab | PREpb PREab | 4 | 1 | 0
        pseudo_channel | ACT | REFab | 146 | 1 | 0
        pseudo_channel | PREpb PREab | REFab | 52 | 1 | 0
        pseudo_channel | RDA | REFab | 71 | 1 | 0
        pseudo_channel | WRA | REFab | 143 | 1 | 0
        pseudo_channel | REFab | ACT PREab | 1118 (ACT); 1120 (PREab) | 1 | 0
        pseudo_channel | REFpb | REFpb | 16 | 1 | 0
        pseudo_channel | REFpb | ACT | 14 | 1 | 0
        pseudo_channel | ACT | REFpb | 10 | 1 | 0
        pseudo_channel | ACT | RFMab | 146 | 1 | 0
        pseudo_channel | PREpb PREab | RFMab | 52 | 1 | 0
        pseudo_channel | RDA | RFMab | 71 | 1 | 0
        pseudo_channel | WRA | RFMab | 143 | 1 | 0
        pseudo_channel | RFMab | ACT PREab | 1118 (ACT); 1120 (PREab) | 1 | 0
        pseudo_channel | RFMpb | ACT | 14 | 1 | 0
        pseudo_channel | ACT | RFMpb | 10 | 1 | 0
        stack_id | R* | R* | 4 | 1 | 0
        stack_id | W* | W* | 4 | 1 | 0
        stack_id | R* | R* | 6 | 1 | 1
        bank_group | R* | R* | 8 | 1 | 0
        bank_group | W* | W* | 8 | 1 | 0
        bank_group | W* | R* | 44 | 1 | 0
        bank_group | ACT | ACT | 10 | 1 | 0
        bank | ACT | ACT | 144 | 1 | 0
        bank | ACT | R* | 63 | 1 | 0
        bank | ACT | W* | 31 | 1 | 0
        bank | ACT | PREpb | 92 | 1 | 0
        bank | PREpb | ACT | 50 | 1 | 0
        bank | RD | PREpb | 19 | 1 | 0
        bank | WR | PREpb | 91 | 1 | 0
        bank | RDA | ACT | 69 | 1 | 0
        bank | WRA | ACT | 141 | 1 | 0
        bank | REFpb | ACT | 638 | 1 | 0
        bank | ACT | REFpb | 146 | 1 | 0
        bank | PREpb | REFpb | 52 | 1 | 0
        bank | RFMpb | ACT | 638 | 1 | 0
        bank | ACT | RFMpb | 146 | 1 | 0
        bank | PREpb | RFMpb | 52 | 1 | 0
        channel | ACT | ACT PREpb PREab REFab REFpb RFMab RFMpb | 3 | 1 | 0
        channel | RD WR RDA WRA | RD WR RDA WRA | 2 | 1 | 0
    """,
}
